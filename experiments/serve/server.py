"""The answers over HTTP as JSON, and the page beside them."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from datamodules.errors import DataError
from experiments.errors import BusyError
from experiments.predict.legend import legend
from experiments.serve.asked.held import Clip
from experiments.serve.asked.service import Service, no_words_of_clips
from experiments.serve.page import mount

FORM = 1_000_000  # bytes that a form may have beside its file
FIELDS = 40


def application(service: Service) -> FastAPI:
    """Return page and JSON of a service."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    app.add_route("/answer", _told(lambda request: _answer(service, request)), methods=["POST"])
    app.add_route("/clips", _told(lambda request: _keep(service, request)), methods=["POST"])
    app.add_route("/let-go", _told(lambda request: _let_go(service, request)), methods=["POST"])
    app.add_route("/models", _told(lambda request: _models(service)))
    app.add_route("/examples", _told(lambda request: _examples(service)))
    return mount(app, service)


def _told(respond: Callable[[Any], Awaitable[Any]]) -> Callable[[Any], Awaitable[Any]]:
    """Return an endpoint whose refusals are JSON of one line."""

    async def endpoint(request: Request) -> Response:
        try:
            content, status = await respond(request), 200
        except BusyError as error:
            content, status = {"error": str(error)}, 503
        except DataError as error:
            content, status = {"error": str(error)}, 422
        except TimeoutError:
            content, status = {"error": "it took too long; try a shorter clip, or again later"}, 504
        except HTTPException as error:
            content, status = {"error": error.detail}, error.status_code
        except ClientDisconnect:
            content, status = {"error": "gone"}, 400
        except OSError as error:
            content, status = {"error": f"the server cannot keep the clip ({error.strerror})"}, 507
        more = {"retry-after": "5"} if status == 503 else {}
        return JSONResponse(content, status, headers={"cache-control": "no-store", **more})

    return endpoint


async def _form(service: Service, request: Request) -> Any:
    """Return an uploaded form; it takes no longer and has no more bytes than it may."""
    most, seen = service.limits.megabytes * 1_000_000 + FORM, 0

    async def receive() -> Any:
        nonlocal seen
        message = await request.receive()
        seen += len(message.get("body", b""))
        if seen > most:
            raise HTTPException(413, f"larger than {service.limits.megabytes} MB, which is the most that is taken here")
        return message

    length = request.headers.get("content-length", "0")
    if length.isdigit() and int(length) > most:
        raise HTTPException(413, f"larger than {service.limits.megabytes} MB, which is the most that is taken here")
    async with asyncio.timeout(service.limits.patience):
        return await Request(request.scope, receive).form(max_files=1, max_fields=FIELDS)


def _read(service: Service, form: Mapping[str, Any]) -> Clip | None:
    """Return the clip of a form, or None where it has none."""
    file, example = form.get("file"), form.get("example")
    if file is not None and not isinstance(file, str):
        return service.read(file.file, (file.filename or "clip")[-80:], file.content_type or "")
    if file is not None:
        raise DataError("file: give a file, as curl does by -F file=@clip.mp4")
    if example is not None:
        if example not in service.examples:
            raise DataError(f"example: there are {', '.join(service.examples)}")
        return service.read_file(service.examples[str(example)], str(example))
    return None


async def _done(service: Service, job: Callable[[], Any]) -> Any:
    def quietly() -> Any:
        with no_words_of_clips():
            return job()

    return await service.desk.done(quietly, service.limits.patience)


async def _answer(service: Service, request: Request) -> Any:
    """Answer about a clip that is read and forgotten."""
    with service.desk.place():
        form = await _form(service, request)
        try:
            off = [name for name in str(form.get("without", "")).split(",") if name]
            told = {name: str(of) for name, of in form.items() if name not in ("file", "example", "without")}
            service.check(told, off)

            def job() -> list[dict[str, Any]]:
                said = service.answers(_read(service, form), told, off)
                if all(one.answer.problem for one in said):
                    raise DataError(f"{said[0].answer.file}: {said[0].answer.problem}")
                return [
                    {
                        "model": one.title,
                        **one.answer.to_dict(),
                        "changes": {name: other.to_dict() for name, other in one.changes.items()},
                    }
                    for one in said
                ]

            return {"answers": await _done(service, job)}
        finally:
            await form.close()


async def _keep(service: Service, request: Request) -> Any:
    """Read a clip of the page, and keep what was read."""
    with service.desk.place():
        form = await _form(service, request)
        try:
            clip = await _done(service, lambda: _read(service, form))
        finally:
            await form.close()
        if clip is None:
            raise DataError("file: give one")
        return {"token": service.shelf.put(clip), "name": clip.name, "seconds": clip.seconds}


async def _let_go(service: Service, request: Request) -> Any:
    service.shelf.drop((await request.body())[:100].decode("ascii", "replace"))
    return {}


async def _models(service: Service) -> Any:
    """Tell what the models read and mean."""
    return {
        title: {"reads": model.modalities, "fields": model.fields, "outputs": model.outputs, "legend": legend(model)}
        for title, model in service.models.items()
    }


async def _examples(service: Service) -> Any:
    return list(service.examples)
