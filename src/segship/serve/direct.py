"""Routes whose functions are called at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi.routing import APIRoute
from starlette.requests import Request

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from fastapi import APIRouter
    from starlette.responses import Response
    from starlette.types import ASGIApp, Receive, Scope, Send

__all__ = ["Direct", "Shortcut"]


class Direct(APIRoute):
    """A route whose function takes the request, names in the path and texts of the query, and returns a `Response`."""


class Shortcut:
    """ASGI: posts to direct routes go straight to their functions, all else to the application.

    The application answers them in the same way, but the framework's own way there, through its middleware, its routers
    and what it finds out of the arguments, costs as much as everything else that the service does for a request.

    Args:
        application: Has all routes, and describes them.
        routers: Of the application; their routes of the class `Direct` are the direct ones.
        handlers: Make the reply of an error, by its class.
    """

    def __init__(
        self,
        application: ASGIApp,
        routers: Sequence[APIRouter],
        handlers: Mapping[type[Exception], Callable[[Request, Exception], Awaitable[Response]]],
    ) -> None:
        self._application, self._handlers = application, handlers
        self._routes = [route for router in routers for route in router.routes if isinstance(route, Direct)]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, or the beginning and end of the service."""
        if scope["type"] == "http" and scope["method"] == "POST" and not scope.get("root_path"):
            for route in self._routes:
                if names := route.path_regex.fullmatch(scope["path"]):
                    scope["route"] = route
                    reply = await self._answer(route, Request(scope, receive, send), names.groupdict())
                    await reply(scope, receive, send)
                    return
        await self._application(scope, receive, send)

    async def _answer(self, route: Direct, request: Request, names: dict[str, str]) -> Response:
        if request.scope["query_string"]:
            known = [field.alias for field in route.dependant.query_params]
            names |= {name: text for name, text in request.query_params.items() if name in known}
        try:
            reply: Response = await route.endpoint(request=request, **names)
        except tuple(self._handlers) as error:
            handle: Any = next(self._handlers[kind] for kind in type(error).__mro__ if kind in self._handlers)
            reply = await handle(request, error)
        return reply
