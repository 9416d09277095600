"""Routes whose functions are called at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi.routing import APIRoute

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

    from starlette.requests import Request
    from starlette.responses import Response

__all__ = ["Direct"]


class Direct(APIRoute):
    """A route whose function takes the request, names in the path and texts of the query, and returns a `Response`.

    FastAPI's own way to the arguments of a function costs as much as everything else that it does for a request.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """What answers a request."""
        names, answer = [field.alias for field in self.dependant.query_params], self.endpoint

        async def handle(request: Request) -> Response:
            asked = request.query_params
            texts = {name: asked[name] for name in names if name in asked}
            found: Response = await answer(request=request, **request.path_params, **texts)
            return found

        return handle
