"""What all routes share: the open models, the places, and the way of one request from its body to its reply."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, TypeVar

from starlette.exceptions import HTTPException

from segship.serve.bodies import LeftError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from starlette.requests import Request
    from starlette.types import Receive

    from segship.runtime import Segmentor
    from segship.serve.bodies import Bodies
    from segship.serve.metrics import Metrics
    from segship.serve.models import Model, Models
    from segship.serve.options import ServeOptions
    from segship.serve.places import Places

__all__ = ["Service"]

Result = TypeVar("Result")


@dataclass
class Service:
    """A running service.

    Attributes:
        options: It was started with.
        models: It has open.
        places: Where masks are made.
        bodies: Read what clients send.
        metrics: Count.
        is_ready: Whether it takes requests: not before it is up, and not once it has been told to stop.
    """

    options: ServeOptions
    models: Models
    places: Places
    bodies: Bodies
    metrics: Metrics
    is_ready: bool = False

    @contextlib.contextmanager
    def model(self, request: Request, name: str) -> Iterator[Model]:
        """A model, which stays open for the request.

        Raises:
            HTTPException: 404: there is none of this name.
        """
        known = [model.name for model in self.models]
        if name not in known:
            raise HTTPException(HTTPStatus.NOT_FOUND, f"there is no model {name[:80]!r}, but {', '.join(known)}")
        request.scope["segship.model"] = name
        with self.models.use(name) as model:
            yield model

    async def body(self, request: Request) -> bytes:
        """The body of a request.

        Raises:
            BodyError: It is refused.
            LeftError: The client went away.
        """
        if self.places.is_full:
            self.places.refuse()
        return await self.bodies.read(request.scope, request.receive)

    async def work(self, request: Request, model: Model, function: Callable[[Segmentor], Result]) -> Result:
        """Run a function of a model's segmentor in one of the places; a client that leaves gives its turn up.

        Raises:
            BusyError: The queue is full.
            LeftError: The client went away.
        """
        return await _while_there(request.receive, self.places.run(lambda: function(model.segmentor), model))


async def _while_there(receive: Receive, work: Awaitable[Result]) -> Result:
    task = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_leaves(receive))
    leaving.add_done_callback(lambda _: task.cancel())
    try:
        return await task
    except asyncio.CancelledError:
        if leaving.done():
            raise LeftError from None
        raise
    finally:
        leaving.cancel()


async def _leaves(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
