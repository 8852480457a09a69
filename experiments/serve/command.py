"""``cli.py serve --ckpt_path X``: trained models behind a page of this machine."""

import os
import signal
import socket
import sys
import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from threading import Event, Thread
from typing import Any

from experiments.errors import UsageError
from option_parser import Parser

LOGIN = "AFFECTZOO_LOGIN"
LOCAL = ("127.0.0.1", "localhost", "::1")
SWEEP = 30.0  # seconds between looks for clips whose time is over


def run(arguments: Sequence[str]) -> int:
    """Serve until interrupted; return the exit code.

    Args:
        arguments: Command line after ``serve``.

    Raises:
        UsageError: A checkpoint cannot be used, gradio is missing, or the port is taken.
    """
    parser = Parser(
        prog="cli.py serve",
        description="a page of this machine where trained models are asked about clips, and the same as JSON",
        epilog=f"user:password: in the environment variable {LOGIN}, or in the file of --login",
    )
    parser.add_argument("--ckpt_path", action="append", required=True, metavar="X",
                        help="a checkpoint, a run's or an exported folder; several stand side by side")  # fmt: skip
    parser.add_argument("--port", type=int, default=7860, metavar="N", help="default: 7860; 0: any that is free")
    parser.add_argument("--host", default=LOCAL[0], metavar="ADDRESS", help="default: this machine alone")
    parser.add_argument("--login", type=Path, metavar="FILE", help="a file of one line, user:password")
    parser.add_argument("--megabytes", type=int, default=100, metavar="N", help="of a clip, at most (default: 100)")
    parser.add_argument("--seconds", type=float, default=120.0, metavar="S", help="of a clip, at most (default: 120)")
    parser.add_argument("--waiting", type=int, default=16, metavar="N", help="requests that may wait for another one; "
                        "others are told that it is busy (default: 16)")  # fmt: skip
    parser.add_argument("--device", default="cpu", metavar="NAME", help="cpu or cuda (default: cpu)")
    args = parser.parse_args(list(arguments))
    for option in ("megabytes", "seconds", "waiting"):
        if not getattr(args, option) > 0:
            raise UsageError(f"--{option} {getattr(args, option)}: more than 0")
    login = _login(args.login)
    if find_spec("gradio") is None:
        raise UsageError("serve needs gradio, which is not installed: `make web` installs it and starts this command")
    listening = _listen(args.host, args.port)
    with listening, tempfile.TemporaryDirectory(prefix="affectzoo-serve-") as folder:
        usual = tempfile.tempdir
        try:
            _serve(args, listening, Path(folder), login)
        finally:
            tempfile.tempdir = usual
    return 0


def _login(path: Path | None) -> str:
    """Return ``user:password``; empty where there is none."""
    found = os.environ.get(LOGIN, "")
    if path is not None:
        try:
            found = path.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError):
            raise UsageError(f"--login {path}: no file that can be read; write user:password into one") from None
    name, _, password = found.partition(":")
    if (path is not None or found) and not (name and password):
        raise UsageError(f"{f'--login {path}' if path else LOGIN}: it is not user:password")
    return found


def _listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens.

    Raises:
        UsageError: It cannot.
    """
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", "") or "no such port"
        raise UsageError(f"--host {host} --port {port}: {reason}; give another --port, or 0 for any") from None


def _serve(args: Any, listening: socket.socket, folder: Path, login: str) -> None:
    """Load the models, then answer until interrupted."""
    # Gradio reads these when it is imported; what else is written by the way goes into the private folder too.
    os.environ.update(GRADIO_ANALYTICS_ENABLED="False", GRADIO_TEMP_DIR=str(folder / "gradio"), HF_HUB_OFFLINE="1")
    tempfile.tempdir = str(folder)
    import uvicorn

    from experiments.predict.loaded.model import Model
    from experiments.serve.asked.limits import Limits
    from experiments.serve.asked.service import Service
    from experiments.serve.guard import Guard
    from experiments.serve.server import application
    from experiments.settings.messages import quiet

    quiet()
    models: dict[str, Model] = {}
    for path in args.ckpt_path:
        model = Model(Path(path), args.device)
        title = f"{type(model.task).__name__} ({model.about['corpus']})"
        models[f"{title} {len(models) + 1}" if title in models else title] = model
    limits = Limits(megabytes=args.megabytes, seconds=args.seconds, waiting=args.waiting)
    service = Service(models, limits, folder)
    local = args.host in LOCAL
    app = Guard(application(service), LOCAL if local else (), login)
    if not local:
        print(f"warning: --host {args.host} lets other machines in" + (
            ", over an unencrypted connection" if login else f"; anybody there may ask: set {LOGIN} or --login"
        ), file=sys.stderr)  # fmt: skip
    host, port = listening.getsockname()[:2]
    over = Event()

    def sweep() -> None:
        while not over.wait(SWEEP):
            service.shelf.expire()

    Thread(target=sweep, daemon=True).start()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that folders are removed
    named = f"[{host}]" if ":" in host else host
    print(f"serving {', '.join(models)} at http://{named}:{port}; end it with Ctrl-C", flush=True)
    config = uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=2)
    try:
        uvicorn.Server(config).run([listening])
    except KeyboardInterrupt:
        pass
    finally:
        over.set()
