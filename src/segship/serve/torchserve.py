"""What clients of TorchServe ask: ``GET /ping`` and ``POST /predictions/NAME``, which gives a PNG."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request, Response

from segship.serve.direct import Direct
from segship.serve.multipart import image_of
from segship.serve.openapi import IMAGE, errors
from segship.serve.replies import reply

if TYPE_CHECKING:
    from segship.serve.service import Service

__all__ = ["routes"]


def routes(service: Service) -> APIRouter:
    """The routes.

    Args:
        service: Answers them.
    """
    router = APIRouter(tags=["TorchServe"])

    @router.get("/ping")
    async def ping() -> dict[str, str]:
        """Whether the service takes requests, in TorchServe's words."""
        return {"status": "Healthy" if service.is_ready else "Unhealthy"}

    png: dict[int | str, dict[str, Any]] = {200: {"description": "the mask", "content": {"image/png": {}}}}

    async def predictions(request: Request, name: str) -> Response:
        """The mask of the image that the body holds, as PNG."""
        body = await service.body(request)
        with service.model(request, name) as model:
            image = await image_of(request.scope, body)
            made = await service.work(request, model, lambda segmentor: reply(segmentor, image, "png"))
        return Response(made.body, media_type=made.media_type)

    router.add_api_route(
        "/predictions/{name}", predictions, methods=["POST"], response_class=Response, responses={**png, **errors()},
        openapi_extra=IMAGE, route_class_override=Direct,
    )  # fmt: skip
    return router
