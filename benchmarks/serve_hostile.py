"""What hostile clients send to a service, and what it answers: for docs/tables/serve_table.py.

Each thing is sent to a service that allows 2 million pixels and bodies of 4 MiB. What must hold afterwards: an error of
the client's (4xx with ``{"error": …}``, or the status of gRPC that means it), a living service, the right next mask,
and no more memory than twice the largest image that is allowed.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from serve_storm import Service

sys.path.append(str(Path(__file__).parents[1] / "tests"))

from support.hostile_images import bombs, png

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MOST_PIXELS, MOST_BODY = 2_000_000, 4 * 2**20
_POST = b"POST /v1/models/model/segment HTTP/1.1\r\nHost: a\r\n"
_CHUNKED = _POST + b"Transfer-Encoding: chunked\r\n\r\n"
_REFUSED = ("INVALID_ARGUMENT", "RESOURCE_EXHAUSTED")


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


class Guarded(Service):
    """A service with small limits that speaks gRPC, too."""

    def __init__(self, package: str) -> None:
        self._grpc = free_port()
        limits = ["--max-pixels", str(MOST_PIXELS), "--max-body", str(MOST_BODY)]
        super().__init__(package, *limits, "--grpc-port", str(self._grpc))

    def post(self, path: str, body: bytes, **headers: str) -> str:
        """The status of a request; with a remark where an error has not the form of all errors."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        with contextlib.closing(connection):
            connection.request("POST", path, body, {name.replace("_", "-"): value for name, value in headers.items()})
            reply = connection.getresponse()
            return _told(reply.status, reply.read())

    def talk(self, *parts: bytes) -> str:
        """The status of what is sent as it is."""
        got = b""
        address, gone = ("127.0.0.1", self.port), (ConnectionResetError, BrokenPipeError)
        with socket.create_connection(address, timeout=60) as sock, contextlib.suppress(*gone):
            for part in parts:
                sock.sendall(part)
            while b'"}' not in got and (more := sock.recv(65_536)):
                got += more
        head, _, body = got.partition(b"\r\n\r\n")
        found = re.match(rb"HTTP/1.1 (\d+) ", head)
        return _told(int(found[1]), body) if found else "no answer"

    def call(self, **fields: Any) -> str:
        """The status of a call of gRPC."""
        import grpc

        from segship.serve.messages import SERVICE, message

        with grpc.insecure_channel(f"127.0.0.1:{self._grpc}") as channel:
            request = message("ModelInferRequest")(model_name="model", **fields).SerializeToString()
            try:
                channel.unary_unary(f"/{SERVICE}/ModelInfer")(request, timeout=120)
            except grpc.RpcError as error:
                return str(error.code().name)  # type: ignore[attr-defined]  (gRPC's stubs leave it out)
        return "OK"

    def highest(self) -> float:
        """MiB that it held at most since this was last asked."""
        folder = Path(f"/proc/{self.process.pid}")
        found = re.search(r"VmHWM:\s+(\d+)", (folder / "status").read_text())
        assert found is not None
        (folder / "clear_refs").write_text("5")
        return int(found[1]) / 1024


def _told(status: int, body: bytes) -> str:
    try:
        is_error = list(json.loads(body)) == ["error"]
    except ValueError:
        is_error = False
    return f"{status}" if is_error else f"{status} without an error"


def files(scene: bytes) -> dict[str, bytes]:
    """Fourteen files that decoders were tried with, as large as they were."""
    wide, tall = 12_000, 30_000
    rows = np.zeros((wide, 1 + 3 * wide), np.uint8)
    rows[:, 1::97] = 200
    return {
        "PNG, 12 000² of RGB": png(wide, wide, rows.tobytes(), kind=2),
        "PNG, 30 000² of grey": png(tall, tall, bytes(tall * (tall + 1))),
        "PNG, a header of 2³¹ - 1": png(2**31 - 1, 2**31 - 1),
        "PNG, 20 000² without data": png(20_000, 20_000),
        "JPEG, a header of 65 500²": scene[:2]
        + b"\xff\xc0\x00\x11\x08\xff\xdc\xff\xdc\x03\x01\x22\x00\x02\x11\x01\x03\x11\x01\xff\xd9",
        "JPEG, cut off": scene[: len(scene) // 2],
        "PNG, cut off": png(64, 64, np.random.default_rng(0).bytes(65 * 64))[:2000],
        "junk": np.random.default_rng(1).bytes(50_000),
        "nothing": b"",
        "PNG, wrong checksums": png(8, 8, bytes(72), spoil=True),
        "PNG, no width": png(0, 10),
        "PNG, no height": png(10, 0),
        "SVG": b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><rect width="9" height="9"/></svg>',
        "PNG, a text of 300 MB": png(8, 8, bytes(72), text=bytes(300_000_000)),
    }


def bodies() -> dict[str, tuple[bytes, ...]]:
    """Requests as they are written to a connection."""
    both = b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    part = b"10000\r\n" + bytes(2**16) + b"\r\n"
    large = str(MOST_BODY + 1).encode()
    return {
        "65 537 chunks": (_CHUNKED, b"1\r\na\r\n" * 65_537 + b"0\r\n\r\n"),
        "chunks of more than 4 MiB": (_CHUNKED, *[part] * 65),
        "a chunk without end": (_CHUNKED, b"fffffffffffffffff\r\n"),
        "a body of 4 MiB + 1": (_POST + b"Content-Length: " + large + b"\r\n\r\n", bytes(MOST_BODY + 1)),
        "a length of 1 TB": (_POST + b"Content-Length: 1099511627776\r\n\r\nabc",),
        "a length below zero": (_POST + b"Content-Length: -1\r\n\r\nabc",),
        "two lengths": (_POST + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",),
        "a length and chunks": (_POST + both,),
        "a length that is never sent": (_POST + b"Content-Length: 1000\r\n\r\nabc",),
        "headers of 400 kB": (b"GET / HTTP/1.1\r\n", *[b"a: " + b"b" * 1000 + b"\r\n"] * 400),
        "no HTTP": (b"nonsense\r\n\r\n",),
    }


def tensors() -> dict[str, bytes]:
    """Bodies of the Open Inference Protocol."""

    def tensor(datatype: object, shape: object, data: str = "[1]", outputs: str = "") -> bytes:
        one = f'{{"name": "image", "datatype": {json.dumps(datatype)}, "shape": {json.dumps(shape)}, "data": {data}}}'
        return f'{{"inputs": [{one}]{outputs}}}'.encode()

    return {
        "JSON, 100 000 levels deep": b"[" * 100_000,
        "JSON, objects 50 000 levels deep": b'{"inputs": ' + b'[{"a": ' * 50_000,
        "no JSON": b"\xff\xfe",
        "no tensor": b'{"inputs": []}',
        "type FP64": tensor("FP64", [1, 1, 3], "[1, 1, 1]"),
        "a type that is a list": tensor(["FP32"], [1]),
        "shape below zero": tensor("UINT8", [-1, 1, 3]),
        "shape of 2⁶² x 2⁶²": tensor("UINT8", [2**62, 2**62, 3]),
        "shape of five axes": tensor("UINT8", [1, 1, 1, 1, 3]),
        "shape that does not fit": tensor("UINT8", [2, 2, 3]),
        "a shape of words": tensor("UINT8", ["a"]),
        "UINT8 256": tensor("UINT8", [1, 1, 3], "[256, 0, 0]"),
        "FP32 not a number": tensor("FP32", [1, 1, 3], "[NaN, 1, 1]"),
        "data of words": tensor("UINT8", [1, 1, 3], '["a", "b", "c"]'),
        "more pixels than are allowed": tensor("UINT8", [2000, 2000, 3]),
        "an output that is none": tensor("UINT8", [1, 1, 3], "[1, 1, 1]", ', "outputs": [{"name": "x"}]'),
    }


def calls() -> dict[str, dict[str, Any]]:
    """Calls of gRPC."""

    def one(datatype: str, shape: list[int], raw: bytes) -> dict[str, Any]:
        return {"inputs": [{"name": "image", "datatype": datatype, "shape": shape}], "raw_input_contents": [raw]}

    return {
        "gRPC, a message of 5 MiB": one("BYTES", [1], bytes(MOST_BODY + 2**20)),
        "gRPC, type FP64": one("FP64", [1, 1, 3], bytes(24)),
        "gRPC, shape that does not fit": one("UINT8", [2, 2, 3], b"abc"),
        "gRPC, shape below zero": one("UINT8", [-1, 1, 3], b"abc"),
        "gRPC, shape of 2⁶² x 2⁶²": one("FP32", [2**62, 2**62, 3], bytes(12)),
        "gRPC, a length that lies": one("BYTES", [1], b"\xff\xff\xff\xffabc"),
        "gRPC, no tensor": {},
    }


def sent(scene: bytes, service: Guarded) -> Iterator[tuple[str, str, int, Callable[[], list[str]]]]:
    """Group, name, bytes, and what sends it and returns the answers."""
    for group, images in (("file", files(scene)), ("bomb", bombs())):
        for name, image in images.items():
            yield group, name, len(image), lambda image=image: _ask_for_mask(service, image)  # type: ignore[misc]
    for name, parts in bodies().items():
        yield "body", name, sum(map(len, parts)), lambda parts=parts: [service.talk(*parts)]  # type: ignore[misc]
    for name, body in tensors().items():
        yield "tensor", name, len(body), lambda body=body: [service.post("/v2/models/model/infer", body)]  # type: ignore[misc]
    for name, fields in calls().items():
        size = sum(map(len, fields.get("raw_input_contents", [])))
        yield "gRPC", name, size, lambda fields=fields: [service.call(**fields)]  # type: ignore[misc]


def _ask_for_mask(service: Guarded, image: bytes) -> list[str]:
    """By each way in which an encoded image may come."""
    form = b'--x\r\nContent-Disposition: form-data; name="a"; filename="a.png"\r\n\r\n' + image + b"\r\n--x--\r\n"
    element = len(image).to_bytes(4, "little") + image
    told = {"name": "image", "datatype": "BYTES", "shape": [1]}
    head = json.dumps({"inputs": [told | {"parameters": {"binary_data_size": len(element)}}]}).encode()
    return [
        service.post("/v1/models/model/segment", image),
        service.post("/v1/models/model/segment", form, Content_Type="multipart/form-data; boundary=x"),
        service.post("/predictions/model", image),
        service.post("/v2/models/model/infer", head + element, Inference_Header_Content_Length=str(len(head))),
        service.call(inputs=[told], raw_input_contents=[element]),
    ]


def measure_hostile(package: str, scene: bytes) -> dict[str, Any]:
    """Send all of it; each line says what was answered, and whether all held."""
    service = Guarded(package)
    try:
        right = service.mask(scene)
        for image in (scene, b"junk"):
            _ask_for_mask(service, image)  # what a service needs once is not the hostile client's
        lines = []
        for group, name, size, send in sent(scene, service):
            service.highest()
            before = service.highest()
            answers = send()
            grown = service.highest() - before
            refused = all(re.fullmatch(r"4\d\d", one) or one in _REFUSED for one in answers)
            held = refused and service.mask(scene) == right and grown <= 2 * 3 * MOST_PIXELS / 2**20
            lines.append({"group": group, "name": name, "bytes": size, "answers": answers, "mib": grown, "held": held})
            print(lines[-1], flush=True)
        return {"most_pixels": MOST_PIXELS, "most_body": MOST_BODY, "lines": lines}
    finally:
        service.stop()
