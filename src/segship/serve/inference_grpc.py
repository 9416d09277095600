"""The Open Inference Protocol, version 2, over gRPC; tensors and errors are those of REST."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Any

import grpc

from segship.core.errors import InputError, SegshipError, UnsupportedError
from segship.serve.inference import SERVER, Asked, compute, describe, require_outputs
from segship.serve.messages import SERVICE, bytes_of, message
from segship.serve.options import may_enter
from segship.serve.places import BusyError
from segship.serve.tensors import Tensor, tensor_of, tensor_of_numbers

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from segship.serve.service import Service

__all__ = ["start"]

_LOG = logging.getLogger("segship.serve")
_MIB = 2**20
_PROBES = 16  # calls beside those that work or wait


async def start(service: Service, tokens: Sequence[bytes], address: str) -> tuple[Any, int]:
    """Serve.

    Args:
        service: Answers.
        tokens: One of which a client must send as ``authorization: Bearer TOKEN`` in its metadata; empty: anybody may
            ask.
        address: ``127.0.0.1:8081``; port 0 is a free one.

    Returns:
        The server, and its port.

    Raises:
        InputError: The port is taken.
    """
    limits = service.options.limits
    server = grpc.aio.server(
        options=[
            ("grpc.max_receive_message_length", limits.max_body + _MIB // 16),
            ("grpc.max_send_message_length", -1),
            ("grpc.max_connection_idle_ms", int(1000 * limits.idle_seconds)),
            ("grpc.so_reuseport", int(service.options.workers > 1)),
        ],
        maximum_concurrent_rpcs=service.options.places + limits.queue + _PROBES,
    )
    calls = _Calls(service, tuple(tokens))
    names = ("ServerLive", "ServerReady", "ModelReady", "ServerMetadata", "ModelMetadata", "ModelInfer")
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(SERVICE, {n: calls.handler(n) for n in names}),)
    )
    try:
        port = server.add_insecure_port(address)
    except RuntimeError:
        port = 0
    if not port:
        raise InputError(f"cannot listen at {address}: the port is taken, or the address is not this machine's")
    await server.start()
    return server, port


class _Calls:
    """What each call answers."""

    def __init__(self, service: Service, tokens: tuple[bytes, ...]) -> None:
        self._service, self._tokens = service, tokens

    def handler(self, name: str) -> Any:
        """What grpc calls for one method."""
        request, response = message(f"{name}Request"), message(f"{name}Response")
        answer: Callable[[Any, Any], Awaitable[Any]] = getattr(self, f"_{name}")

        async def call(asked: Any, context: Any) -> Any:
            begin, status = time.perf_counter(), grpc.StatusCode.UNKNOWN.name
            try:
                if "Model" in name:
                    self._require_token(context)
                made = response(**await answer(asked, context))
                status = grpc.StatusCode.OK.name
            except _RefusedError as error:
                status = error.code.name
                await context.abort(error.code, str(error))
            except asyncio.CancelledError:  # the client left, or its deadline is over
                status = grpc.StatusCode.CANCELLED.name
                raise
            else:
                return made
            finally:
                seconds = time.perf_counter() - begin
                model = self._known(getattr(asked, "model_name", "") or getattr(asked, "name", ""))
                self._service.metrics.count(f"grpc {name}", model, status, seconds)
                fields = {"method": name, "model": model, "status": status, "ms": round(1000 * seconds, 2)}
                _LOG.info("call", extra={"fields": fields})

        return grpc.unary_unary_rpc_method_handler(call, request.FromString, bytes_of)

    def _known(self, name: str) -> str:
        return name if name in {model.name for model in self._service.models} else ""

    def _require_token(self, context: Any) -> None:
        given = dict(context.invocation_metadata() or ()).get("authorization", "")
        if not may_enter(given.encode() if isinstance(given, str) else given, self._tokens):
            raise _RefusedError(grpc.StatusCode.UNAUTHENTICATED, "send authorization: Bearer TOKEN")

    async def _ServerLive(self, _: Any, __: Any) -> dict[str, Any]:  # noqa: N802  (calls have the protocol's names)
        return {"live": True}

    async def _ServerReady(self, _: Any, __: Any) -> dict[str, Any]:  # noqa: N802
        return {"ready": self._service.is_ready}

    async def _ServerMetadata(self, _: Any, __: Any) -> dict[str, Any]:  # noqa: N802
        return SERVER

    async def _ModelReady(self, asked: Any, _: Any) -> dict[str, Any]:  # noqa: N802
        self._model(asked.name, asked.version)
        return {"ready": self._service.is_ready}

    async def _ModelMetadata(self, asked: Any, _: Any) -> dict[str, Any]:  # noqa: N802
        return describe(self._model(asked.name, asked.version))

    async def _ModelInfer(self, asked: Any, _: Any) -> dict[str, Any]:  # noqa: N802
        self._model(asked.model_name, asked.model_version)
        with self._service.models.use(asked.model_name) as model:
            largest = self._service.options.limits.max_pixels
            try:
                request = _request(asked)
                made = await self._service.places.run(lambda: compute(model.segmentor, request, largest), model)
            except BusyError as error:
                raise _RefusedError(grpc.StatusCode.RESOURCE_EXHAUSTED, str(error)) from None
            except (InputError, UnsupportedError) as error:
                raise _RefusedError(grpc.StatusCode.INVALID_ARGUMENT, str(error)) from None
            except (SegshipError, MemoryError) as error:
                _LOG.error("the engine failed", extra={"fields": {"reason": str(error)}})
                raise _RefusedError(grpc.StatusCode.INTERNAL, "the engine failed") from None
            return {
                "model_name": model.name,
                "model_version": str(model.number),
                "id": asked.id[:256],
                "outputs": [{"name": one.name, "datatype": one.datatype, "shape": one.shape} for one in made],
                "raw_output_contents": [one.data for one in made],
            }

    def _model(self, name: str, version: str) -> Any:
        try:
            model = self._service.models.get(name)
        except KeyError:
            raise _RefusedError(grpc.StatusCode.NOT_FOUND, f"there is no model {name[:80]!r}") from None
        if version and version != str(model.number):
            raise _RefusedError(grpc.StatusCode.NOT_FOUND, f"{name} has version {model.number} open")
        return model


class _RefusedError(Exception):
    """A call ends with this status."""

    def __init__(self, code: grpc.StatusCode, reason: str) -> None:
        super().__init__(reason)
        self.code = code


def _request(asked: Any) -> Asked:
    if len(asked.inputs) != 1:
        raise InputError("the request has no single input: expected one, called image")
    given = asked.inputs[0]
    if asked.raw_input_contents:
        if len(asked.raw_input_contents) != 1:
            raise InputError("the request has one input, and not as many raw contents")
        image = tensor_of(given.name, given.datatype, list(given.shape), asked.raw_input_contents[0])
    elif given.datatype == "BYTES" and len(given.contents.bytes_contents) == 1:
        image = Tensor("image", "BYTES", (1,), given.contents.bytes_contents[0])
    else:
        image = tensor_of_numbers(given.name, given.datatype, list(given.shape), _contents(given))
    return Asked(image, require_outputs([output.name for output in asked.outputs]))


def _contents(given: Any) -> list[float]:
    """The numbers of a tensor that was sent without raw contents."""
    return list(given.contents.fp32_contents if given.datatype == "FP32" else given.contents.uint_contents)
