"""What stands before page and JSON: who may ask, what of Gradio is served, that nothing is loaded from elsewhere."""

import base64
import binascii
import secrets
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; media-src 'self' data: blob:; font-src 'self' data:; worker-src 'self' blob:; "
    "connect-src 'self' data: blob:; frame-ancestors 'none'; base-uri 'self'; form-action 'self'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "permissions-policy": "camera=(self), microphone=(self)",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
# Of Gradio's own interface, what its page needs; uploads, files and proxies of it are not among that.
OF_GRADIO = ("heartbeat", "queue", "cancel", "reset", "startup-events", "app_id", "info")


class Guard:
    """An ASGI application before another one.

    Args:
        app: The other one.
        hosts: Names by which it may be called, as pages elsewhere may have one that leads here; any if none is given.
        login: ``user:password`` that is asked for; nobody is asked where empty.
    """

    def __init__(self, app: Any, hosts: Sequence[str] = (), login: str = "") -> None:
        self.app, self.hosts, self.login = app, hosts, login

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Refuse a request, or pass it on; add `HEADERS` to what is sent."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        status, text = self._refusal(scope["path"], headers)

        async def sent(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                more = HEADERS | ({"www-authenticate": 'Basic realm="affectzoo"'} if status == 401 else {})
                message["headers"] = [*message["headers"], *((name.encode(), of.encode()) for name, of in more.items())]
            await send(message)

        if not status:
            await self.app(scope, receive, sent)
            return
        await sent({"type": "http.response.start", "status": status, "headers": [(b"content-type", b"text/plain")]})
        await sent({"type": "http.response.body", "body": f"{text}\n".encode()})

    def _refusal(self, path: str, headers: dict[str, str]) -> tuple[int, str]:
        """Return status and reason; 0 of what may pass."""
        host, origin = headers.get("host", ""), headers.get("origin")
        if self.hosts and urlsplit(f"//{host}").hostname not in self.hosts:
            return 403, "this server is not called by that name"
        if origin and urlsplit(origin).netloc != host:
            return 403, "asked by a page of another server"
        if self.login and not self._is_known(headers.get("authorization", "")):
            return 401, "user and password"
        parts = path.strip("/").split("/")
        if parts[0] in ("monitoring", "login", "proxy") or (parts[0] == "gradio_api" and parts[1:2] not in _ALLOWED):
            return 404, "not served here"
        return 0, ""

    def _is_known(self, authorization: str) -> bool:
        scheme, _, code = authorization.partition(" ")
        try:
            given = base64.b64decode(code, validate=True)
        except (binascii.Error, ValueError):
            return False
        return scheme.lower() == "basic" and secrets.compare_digest(given, self.login.encode())


_ALLOWED = [[name] for name in OF_GRADIO]
