"""The Open Inference Protocol, version 2, over REST, with its extension for binary tensors.

Inputs: ``image``, an encoded image (BYTES, one element) or pixels (UINT8, (H, W, C), RGB). Outputs: ``mask`` (UINT8 or
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

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from segship.runtime import Segmentor
    from segship.serve.models import Model
    from segship.serve.service import Service

__all__ = [
    "SERVER",
    "Asked",
    "Tensor",
    "compute",
    "describe",
    "encode",
    "parse",
    "require_outputs",
    "routes",
    "tensor_of",
]

_HEADER = "inference-header-content-length"
_MOST_HEADER = 16 * 2**20  # bytes of JSON, numbers of tensors included
_DEEPEST = 32
_TYPES: dict[str, np.dtype[Any]] = {"UINT8": np.dtype("u1"), "UINT16": np.dtype("<u2"), "FP32": np.dtype("<f4")}
_OUTPUTS = ("mask", "scores")
SERVER: dict[str, Any] = {"name": "segship", "version": segship.__version__, "extensions": ["binary_tensor_data"]}
"""What the server says of itself."""


@dataclass(frozen=True)
class Tensor:
    """A tensor on the wire.

    Attributes:
        name: Of an input or output.
        datatype: ``UINT8``, ``UINT16``, ``FP32`` or ``BYTES``.
        shape: Of the array; of BYTES, how many elements there are.
        data: The array's bytes, little-endian; of BYTES, the element.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]
    data: bytes


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
    image = _image(asked.image, segmentor, max_pixels)
    found = []
    for name in asked.outputs:
        array: NDArray[Any] = np.ascontiguousarray(segmentor(image) if name == "mask" else segmentor.scores(image))
        datatype = next(known for known, dtype in _TYPES.items() if dtype == array.dtype)
        found.append(Tensor(name, datatype, array.shape, array.tobytes()))
    return found


def _image(tensor: Tensor, segmentor: Segmentor, max_pixels: int) -> Any:
    if tensor.datatype == "BYTES":
        return tensor.data
    shape = tensor.shape[1:] if len(tensor.shape) == 4 and tensor.shape[0] == 1 else tensor.shape  # noqa: PLR2004
    channels = segmentor.spec.channels
    if tensor.datatype != "UINT8" or len(shape) != 3 or shape[2] != channels:  # noqa: PLR2004
        raise InputError(
            f"the input is {tensor.datatype} {list(tensor.shape)}: expected BYTES [1], an encoded image, or UINT8 "
            f"[height, width, {channels}], RGB"
        )
    if shape[0] * shape[1] > max_pixels:
        raise InputError(f"an image of {shape[1]}x{shape[0]} pixels is above the limit of {max_pixels} pixels")
    return np.frombuffer(tensor.data, np.uint8).reshape(shape)


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
        return _require_input(name, datatype, shape, _numbers(given.get("data"), datatype))
    if type(size) is not int or size != len(rest):
        raise InputError(f"the input says that it has {size!r:.20} bytes, {len(rest)} were sent")
    return tensor_of(name, datatype, shape, rest)


def tensor_of(name: object, datatype: object, shape: object, raw: bytes) -> Tensor:
    """The input of a request, from its bytes on the wire.

    Args:
        name: As the client gave it, as all that follows.
        datatype: ``BYTES`` or ``UINT8``.
        shape: A list of sides.
        raw: The array; of BYTES, four bytes of the element's length, then the element.

    Raises:
        InputError: They are something else, or do not fit together.
    """
    return _require_input(name, datatype, shape, _element(raw) if datatype == "BYTES" else raw)


def _require_input(name: object, datatype: object, shape: object, data: bytes) -> Tensor:
    if name != "image":
        raise InputError("the input is called image")
    if datatype not in ("BYTES", "UINT8"):
        raise InputError("the input is BYTES, an encoded image, or UINT8, pixels")
    if not isinstance(shape, list) or not all(type(side) is int and side > 0 for side in shape):
        raise InputError("the input's shape is no list of positive numbers")
    count = int(np.prod(shape, dtype=object))
    if count != (1 if datatype == "BYTES" else len(data)):
        raise InputError(f"the input's shape {shape!r:.60} does not fit its data")
    return Tensor("image", str(datatype), tuple(shape), data)


def _element(data: bytes) -> bytes:
    """The one element of a BYTES tensor: four bytes of its length, then it."""
    if len(data) < 4 or int.from_bytes(data[:4], "little") != len(data) - 4:  # noqa: PLR2004
        raise InputError("the BYTES tensor is no single element with its length before it")
    return data[4:]


def _numbers(data: Any, datatype: object) -> bytes:
    if datatype == "BYTES":
        raise InputError("an encoded image is sent as a binary tensor (binary_data_size): JSON holds no bytes")
    try:
        numbers = np.asarray(data)
    except ValueError:
        raise InputError("the input's data are no numbers") from None
    if numbers.dtype.kind not in "iu" or not numbers.size or numbers.min() < 0 or numbers.max() > 255:  # noqa: PLR2004
        raise InputError("the input's data are no numbers within 0-255")
    return numbers.astype(np.uint8).tobytes()


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
    array: NDArray[Any] = np.frombuffer(tensor.data, _TYPES[tensor.datatype])
    return array.reshape(tensor.shape)


def routes(service: Service) -> APIRouter:
    """The routes.

    Args:
        service: Answers them.
    """
    router = APIRouter(prefix="/v2", tags=["Open Inference Protocol"])
    _about_server(router, service)
    _about_models(router, service)

    @router.post("/models/{name}/infer")
    @router.post("/models/{name}/versions/{version}/infer")
    async def infer(request: Request, name: str, version: str = "") -> Response:
        """The mask or the scores of an image."""
        body = await service.body(request)
        with service.model(request, name) as model:
            _require_version(model, version)
            length = request.headers.get(_HEADER)

            def run(segmentor: Segmentor) -> Response:
                asked = parse(body, length)
                return encode(model, asked, compute(segmentor, asked, service.options.limits.max_pixels))

            return await service.work(request, model, run)

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

    @router.get("/health/ready")
    async def ready() -> dict[str, bool]:
        """Whether requests are taken."""
        if not service.is_ready:
            raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, "not ready")
        return {"ready": True}


def _about_models(router: APIRouter, service: Service) -> None:
    @router.get("/models/{name}")
    @router.get("/models/{name}/versions/{version}")
    async def metadata(request: Request, name: str, version: str = "") -> dict[str, Any]:
        """The inputs and outputs of a model."""
        with service.model(request, name) as model:
            _require_version(model, version)
            return describe(model)

    @router.get("/models/{name}/ready")
    @router.get("/models/{name}/versions/{version}/ready")
    async def model_ready(request: Request, name: str, version: str = "") -> dict[str, Any]:
        """Whether a model takes requests."""
        with service.model(request, name) as model:
            _require_version(model, version)
            return {"name": name, "ready": service.is_ready}
