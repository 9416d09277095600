"""The routes of a service, as an ASGI application."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

import segship
from segship.core.errors import InputError, SegshipError, UnsupportedError
from segship.core.files import DEMO
from segship.serve import inference, torchserve
from segship.serve.bodies import Bodies, BodyError, LeftError
from segship.serve.direct import Direct, Shortcut
from segship.serve.metrics import MEDIA_TYPE, Metrics
from segship.serve.models import Models
from segship.serve.multipart import image_of
from segship.serve.openapi import IMAGE, MASK, describe, errors
from segship.serve.options import read_tokens
from segship.serve.outermost import OPEN, Outermost
from segship.serve.places import BusyError, Places
from segship.serve.replies import choose, reply
from segship.serve.service import Service

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from segship.serve.models import Model
    from segship.serve.options import ServeOptions

__all__ = ["application"]

_LOG = logging.getLogger("segship.serve")
_BODIES_TOGETHER = 4  # times the largest body are held at most while they are being read
_PAGE_TYPES = {"index.html": "text/html; charset=utf-8", "page.js": "text/javascript", "page.css": "text/css"}
_PAGE_HEADERS = {
    "content-security-policy": "default-src 'self'; img-src 'self' blob: data:; frame-ancestors 'none'",
    "cache-control": "no-cache",
}
_SAMPLES = 3
_CLIENT_CLOSED = 499  # nobody reads it: the connection is gone


def application(options: ServeOptions) -> Outermost:
    """The service as an ASGI application; its packages are open when this returns.

    Args:
        options: What it serves, and within which limits.

    Returns:
        For an ASGI server; its lifespan has to be run.

    Raises:
        SegshipError: A package cannot be opened, or the tokens cannot be read.
    """
    tokens = read_tokens(options.token_file)
    places = Places(options.places, options.limits.queue)
    bodies = Bodies(options.limits.max_body, _BODIES_TOGETHER * options.limits.max_body)
    service = Service(options, Models(options), places, bodies, Metrics(places))
    app = FastAPI(
        title="Segship",
        version=segship.__version__,
        summary="Exact segmentation masks of images",
        docs_url=None,  # both load their scripts from elsewhere
        redoc_url=None,
        lifespan=lambda _: _lifetime(service, tokens),
        exception_handlers={**_HANDLERS, Exception: _bug},
    )
    routers = _probes(service), _models(service), torchserve.routes(service), inference.routes(service), _page()
    for router in routers:
        app.include_router(router)
    app.state.service = service
    describe(app, tokens=bool(tokens), probes=OPEN)
    inside = Shortcut(app, routers, _HANDLERS)
    return Outermost(inside, tokens, service.metrics, options.limits, options.cors_origins)


@contextlib.asynccontextmanager
async def _lifetime(service: Service, tokens: tuple[bytes, ...]) -> AsyncIterator[None]:
    looking = asyncio.create_task(_look_for_new_versions(service))
    async with _grpc(service, tokens):
        service.is_ready = True
        yield
        service.is_ready = False
    looking.cancel()
    service.places.close()
    service.models.close()


@contextlib.asynccontextmanager
async def _grpc(service: Service, tokens: tuple[bytes, ...]) -> AsyncIterator[None]:
    options = service.options
    if options.grpc_port is None:
        yield
        return
    from segship.serve.inference_grpc import start  # noqa: PLC0415  (of the extra grpc)

    host = f"[{options.host}]" if ":" in options.host else options.host
    server, port = await start(service, tokens, f"{host}:{options.grpc_port}")
    _LOG.info("gRPC is listening", extra={"fields": {"address": f"{host}:{port}"}})
    try:
        yield
    finally:
        service.is_ready = False
        await server.stop(options.limits.drain_seconds)


async def _look_for_new_versions(service: Service) -> None:
    seconds = service.options.reload_seconds
    while seconds > 0:
        await asyncio.sleep(seconds)
        for name in await asyncio.to_thread(service.models.refresh):
            _LOG.info("a new version is open", extra={"fields": {"model": name}})


def _probes(service: Service) -> APIRouter:
    router = APIRouter(tags=["probes"])

    @router.get("/healthz")
    async def healthz() -> dict[str, str]:
        """The process is alive."""
        return {"status": "alive"}

    @router.get("/readyz", responses=errors(503))
    async def readyz() -> Response:
        """Whether requests are taken: the packages are open, the queue has room, and nobody said stop."""
        if not service.is_ready or service.places.is_full:
            return _error(HTTPStatus.SERVICE_UNAVAILABLE, "not ready")
        return JSONResponse({"status": "ready"})

    @router.get("/metrics", response_class=Response)
    async def metrics() -> Response:
        """Figures in Prometheus' text form."""
        return Response(service.metrics.text(), media_type=MEDIA_TYPE)

    return router


def _models(service: Service) -> APIRouter:
    router = APIRouter(prefix="/v1/models", tags=["models"])

    @router.get("")
    async def models() -> dict[str, Any]:
        """What is served."""
        return {"models": [_short(model) for model in service.models]}

    @router.get("/{name}", responses=errors(404))
    async def manifest(request: Request, name: str) -> dict[str, Any]:
        """One model, with the manifest of its package."""
        with service.model(request, name) as model:
            return {**_short(model), "manifest": model.segmentor.manifest.model_dump(mode="json")}

    async def segment(request: Request, name: str, format: str | None = None) -> Response:  # noqa: A002
        """The mask of the image that the body holds, in the form that ``format`` or ``Accept`` asks for."""
        body = await service.body(request)
        with service.model(request, name) as model:
            form = choose(format, request.headers.get("accept"))
            image = await image_of(request.scope, body)
            made = await service.work(request, model, lambda segmentor: reply(segmentor, image, form))
        size = {"x-image-height": str(made.height), "x-image-width": str(made.width)}
        return Response(made.body, media_type=made.media_type, headers={**size, "vary": "accept"})

    router.add_api_route(
        "/{name}/segment", segment, methods=["POST"], response_class=Response, responses={**MASK, **errors()},
        openapi_extra=IMAGE, route_class_override=Direct,
    )  # fmt: skip
    return router


def _short(model: Model) -> dict[str, Any]:
    manifest = model.segmentor.manifest
    return {
        "name": model.name,
        "version": model.number,
        "architecture": manifest.spec.architecture,
        "target": str(manifest.target),
        "classes": list(manifest.spec.classes),
        "palette": [list(colour) for colour in manifest.spec.palette],
    }


def _page() -> APIRouter:
    router = APIRouter(include_in_schema=False)
    folder = Path(__file__).parent / "page"
    held = {name: ((folder / name).read_bytes(), kind) for name, kind in _PAGE_TYPES.items()}
    scenes = sorted((DEMO / "images").glob("*.jpg"))[:_SAMPLES]
    held |= {f"sample-{number}.jpg": (scene.read_bytes(), "image/jpeg") for number, scene in enumerate(scenes, 1)}

    @router.get("/")
    @router.get("/page/{name}")
    async def page(name: str = "index.html") -> Response:
        if name not in held:
            raise HTTPException(HTTPStatus.NOT_FOUND, "there is no such file")
        data, kind = held[name]
        return Response(data, media_type=kind, headers=_PAGE_HEADERS)

    return router


def _error(status: int, reason: str, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse({"error": reason}, status, headers)


async def _http(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # as all below: the framework sorts them
    return _error(error.status_code, str(error.detail), dict(error.headers or {}))


async def _validation(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    where = ".".join(map(str, error.errors()[0]["loc"])) if error.errors() else "the request"
    return _error(HTTPStatus.BAD_REQUEST, f"{where} cannot be used")


async def _body(_: Request, error: Exception) -> Response:
    assert isinstance(error, BodyError)
    retry = {"retry-after": "1"} if error.status == HTTPStatus.SERVICE_UNAVAILABLE else {}
    return _error(error.status, str(error), retry)


async def _busy(_: Request, error: Exception) -> Response:
    assert isinstance(error, BusyError)
    return _error(HTTPStatus.SERVICE_UNAVAILABLE, str(error), {"retry-after": str(error.seconds)})


async def _left(_: Request, __: Exception) -> Response:
    return Response(status_code=_CLIENT_CLOSED)


async def _refused(request: Request, error: Exception) -> Response:
    if isinstance(error, (InputError, UnsupportedError)):
        return _error(HTTPStatus.BAD_REQUEST, str(error))
    number = request.scope.get("segship.request", "")
    _LOG.error("the engine failed", extra={"fields": {"request": number, "reason": str(error)}})
    return _error(HTTPStatus.INTERNAL_SERVER_ERROR, f"the engine failed, request {number}")


async def _bug(request: Request, _: Exception) -> Response:
    number = request.scope.get("segship.request", "")
    return _error(HTTPStatus.INTERNAL_SERVER_ERROR, f"a bug of the service, request {number}")


async def _memory(_: Request, __: Exception) -> Response:
    return _error(HTTPStatus.SERVICE_UNAVAILABLE, "there is not enough memory for this", {"retry-after": "5"})


# Every error is {"error": one line}, without anything of the machine's.
_HANDLERS: dict[Any, Any] = {
    HTTPException: _http,
    RequestValidationError: _validation,
    BodyError: _body,
    BusyError: _busy,
    LeftError: _left,
    SegshipError: _refused,
    MemoryError: _memory,
}
