"""The Open Inference Protocol, version 2, over REST, with its extension for binary tensors.

Inputs: ``image``, an encoded image (BYTES, one element) or pixels as the image stores them (UINT8, UINT16 or FP32,
(H, W, C), RGB). Outputs: ``mask`` (UINT8 or
UINT16, (H, W)), ``scores`` (FP32, (C, H, W)). Source: github.com/kserve/open-inference-protocol, and the binary tensor
data extension of Triton's documentation.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import numpy as np
from fastapi import APIRouter, Request, Response
from starlette.exceptions import HTTPException

import segship
from segship.core.errors import InputError
from segship.serve.openapi import INFERENCE, errors
from segship.serve.tensors import TYPES, Tensor, image_of_tensor, tensor_of, tensor_of_numbers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from segship.runtime import Segmentor
    from segship.serve.models import Model
    from segship.serve.service import Service

__all__ = [
    "SERVER",
    "Asked",
    "compute",
    "describe",
    "encode",
    "parse",
    "require_outputs",
    "routes",
]

_HEADER = "inference-header-content-length"
_MOST_HEADER = 16 * 2**20  # bytes of JSON, numbers of tensors included
_DEEPEST = 32
_OUTPUTS = ("mask", "scores")
SERVER: dict[str, Any] = {"name": "segship", "version": segship.__version__, "extensions": ["binary_tensor_data"]}
"""What the server says of itself."""


@dataclass(frozen=True)
class Asked:
    """A request for inference.

    Attributes:
        image: Its one input.
        outputs: Names of what it wants.
        binary: Those that go back as bytes, not as numbers in JSON.
        number: Its id, which is sent back.
    """

    image: Tensor
    outputs: tuple[str, ...] = ("mask",)
    binary: frozenset[str] = field(default_factory=frozenset)
    number: str = ""


def describe(model: Model) -> dict[str, Any]:
    """A model's metadata, as the protocol has it."""
    spec = model.segmentor.spec
    many = len(spec.classes) > 256  # noqa: PLR2004  (what a byte holds)
    return {
        "name": model.name,
        "versions": [str(model.number)],
        "platform": f"segship_{model.segmentor.manifest.target.backend}",
        "inputs": [{"name": "image", "datatype": "BYTES", "shape": [1]}],
        "outputs": [
            {"name": "mask", "datatype": "UINT16" if many else "UINT8", "shape": [-1, -1]},
            {"name": "scores", "datatype": "FP32", "shape": [len(spec.classes), -1, -1]},
        ],
    }


def compute(segmentor: Segmentor, asked: Asked, max_pixels: int) -> list[Tensor]:
    """The outputs of a request.

    Args:
        segmentor: Computes them.
        asked: The request.
        max_pixels: Largest width times height that is taken.

    Raises:
        InputError: The image cannot be used.
        BackendError: The engine fails.
    """
    image = image_of_tensor(asked.image, segmentor.spec, max_pixels)
    found = []
    for name in asked.outputs:
        array: NDArray[Any] = np.ascontiguousarray(segmentor(image) if name == "mask" else segmentor.scores(image))
        datatype = next(known for known, dtype in TYPES.items() if dtype == array.dtype)
        found.append(Tensor(name, datatype, array.shape, array.tobytes()))
    return found


def parse(body: bytes, header_length: str | None) -> Asked:
    """Read a request.

    Args:
        body: Of the HTTP request.
        header_length: Its ``Inference-Header-Content-Length``: how much of it is JSON; None: all.

    Raises:
        InputError: It is no such request.
    """
    length = len(body) if header_length is None else _number(header_length)
    if length > min(len(body), _MOST_HEADER):
        raise InputError("the request's JSON is longer than its body, or than 16 MiB: send tensors as bytes")
    request = _json(body[:length])
    inputs = request.get("inputs")
    if not isinstance(inputs, list) or len(inputs) != 1 or not isinstance(inputs[0], dict):
        raise InputError("the request has no single input: expected one, called image")
    image = _input(inputs[0], body[length:])
    outputs = request.get("outputs", [])
    if not isinstance(outputs, list) or not all(isinstance(one, dict) for one in outputs):
        raise InputError("outputs are no list of names")
    names = require_outputs([one.get("name") for one in outputs])
    everything = _parameters(request).get("binary_data_output") is True
    binary = {
        name for name, one in zip(names, outputs, strict=False) if _parameters(one).get("binary_data", everything)
    }
    binary |= set(names) if not outputs and everything else set()
    return Asked(image, names, frozenset(binary), str(request.get("id", ""))[:256])


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 12):  # noqa: PLR2004
        raise InputError("Inference-Header-Content-Length is not a number")
    return int(text)


def _json(text: bytes) -> dict[str, Any]:
    depth = deepest = 0
    for byte in text.translate(None, bytes(set(range(256)) - set(b"[]{}"))):
        depth += 1 if byte in b"[{" else -1
        deepest = max(deepest, depth)
    if deepest > _DEEPEST:
        raise InputError("the request's JSON is nested too deeply")
    try:
        request = json.loads(text)
    except (ValueError, RecursionError):
        raise InputError("the request is not JSON: see the Open Inference Protocol") from None
    if not isinstance(request, dict):
        raise InputError("the request is no JSON object")
    return request


def _parameters(holder: Mapping[str, Any]) -> dict[str, Any]:
    parameters = holder.get("parameters") or {}
    if not isinstance(parameters, dict):
        raise InputError("parameters are no JSON object")
    return parameters


def require_outputs(names: Sequence[object]) -> tuple[str, ...]:
    """The outputs of a request; the mask where none is named.

    Args:
        names: As the client gave them.

    Raises:
        InputError: There is no such output, or one is named twice.
    """
    asked = tuple(str(name) for name in names) or ("mask",)
    if not set(asked) <= set(_OUTPUTS) or len(set(asked)) < len(asked):
        raise InputError(f"the outputs are {' and '.join(_OUTPUTS)}, each once")
    return asked


def _input(given: dict[str, Any], rest: bytes) -> Tensor:
    name, datatype, shape = given.get("name"), given.get("datatype"), given.get("shape")
    size = _parameters(given).get("binary_data_size")
    if size is None:
        return tensor_of_numbers(name, datatype, shape, given.get("data"))
    if type(size) is not int or size != len(rest):
        raise InputError(f"the input says that it has {size!r:.20} bytes, {len(rest)} were sent")
    return tensor_of(name, datatype, shape, rest)


def encode(model: Model, asked: Asked, outputs: list[Tensor]) -> Response:
    """The reply to a request."""
    told, binary = [], []
    for tensor in outputs:
        entry: dict[str, Any] = {"name": tensor.name, "datatype": tensor.datatype, "shape": list(tensor.shape)}
        if tensor.name in asked.binary:
            entry["parameters"] = {"binary_data_size": len(tensor.data)}
            binary.append(tensor.data)
        else:
            entry["data"] = _array(tensor).ravel().tolist()
        told.append(entry)
    answer = {"model_name": model.name, "model_version": str(model.number), "outputs": told}
    text = json.dumps(answer | ({"id": asked.number} if asked.number else {})).encode()
    if not binary:
        return Response(text, media_type="application/json")
    headers = {_HEADER: str(len(text))}
    return Response(b"".join([text, *binary]), media_type="application/octet-stream", headers=headers)


def _array(tensor: Tensor) -> NDArray[Any]:
    array: NDArray[Any] = np.frombuffer(tensor.data, TYPES[tensor.datatype])
    return array.reshape(tensor.shape)


def routes(service: Service) -> APIRouter:
    """The routes.

    Args:
        service: Answers them.
    """
    router = APIRouter(prefix="/v2", tags=["Open Inference Protocol"])
    _about_server(router, service)
    _about_models(router, service)

    async def answer(request: Request, name: str, version: str = "") -> Response:
        body = await service.body(request)
        with service.model(request, name) as model:
            _require_version(model, version)
            length = request.headers.get(_HEADER)

            def run(segmentor: Segmentor) -> Response:
                asked = parse(body, length)
                return encode(model, asked, compute(segmentor, asked, service.options.limits.max_pixels))

            return await service.work(request, model, run)

    @router.post("/models/{name}/infer", responses=errors(), openapi_extra=INFERENCE)
    async def infer(request: Request, name: str) -> Response:
        """The mask or the scores of an image."""
        return await answer(request, name)

    @router.post("/models/{name}/versions/{version}/infer", responses=errors(), openapi_extra=INFERENCE)
    async def infer_by_version(request: Request, name: str, version: str) -> Response:
        """The mask or the scores of an image, by a version that must be the open one."""
        return await answer(request, name, version)

    return router


def _require_version(model: Model, version: str) -> None:
    if version and version != str(model.number):
        raise HTTPException(HTTPStatus.NOT_FOUND, f"{model.name} has version {model.number} open")


def _about_server(router: APIRouter, service: Service) -> None:
    @router.get("")
    async def server() -> dict[str, Any]:
        """The server."""
        return SERVER

    @router.get("/health/live")
    async def live() -> dict[str, bool]:
        """Whether the process is alive."""
        return {"live": True}

    @router.get("/health/ready", responses=errors(503))
    async def ready() -> dict[str, bool]:
        """Whether requests are taken."""
        if not service.is_ready:
            raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, "not ready")
        return {"ready": True}


def _about_models(router: APIRouter, service: Service) -> None:
    missing = errors(404)

    def describe_open(request: Request, name: str, version: str = "") -> dict[str, Any]:
        with service.model(request, name) as model:
            _require_version(model, version)
            return describe(model)

    @router.get("/models/{name}", responses=missing)
    async def metadata(request: Request, name: str) -> dict[str, Any]:
        """The inputs and outputs of a model."""
        return describe_open(request, name)

    @router.get("/models/{name}/versions/{version}", responses=missing)
    async def metadata_by_version(request: Request, name: str, version: str) -> dict[str, Any]:
        """The inputs and outputs of a model's open version."""
        return describe_open(request, name, version)

    @router.get("/models/{name}/ready", responses=missing)
    async def model_ready(request: Request, name: str) -> dict[str, Any]:
        """Whether a model takes requests."""
        describe_open(request, name)
        return {"name": name, "ready": service.is_ready}

    @router.get("/models/{name}/versions/{version}/ready", responses=missing)
    async def version_ready(request: Request, name: str, version: str) -> dict[str, Any]:
        """Whether a model's version takes requests."""
        describe_open(request, name, version)
        return {"name": name, "ready": service.is_ready}
