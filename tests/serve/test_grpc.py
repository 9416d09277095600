"""The Open Inference Protocol over gRPC, asked by a client of the protocol's own messages and by Triton's."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

grpc = pytest.importorskip("grpc", reason="pip install segship[grpc]")

import segship  # noqa: E402
from segship.serve import Limits  # noqa: E402
from segship.serve.messages import SERVICE, message  # noqa: E402

from .conftest import running  # noqa: E402

WORD = "a-word"


@pytest.fixture(scope="module")
def port(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    tokens = tmp_path_factory.mktemp("grpc") / "tokens"
    tokens.write_text(f"{WORD}\n")
    free = _free()
    with running(f"one={package}", grpc_port=free, token_file=tokens, limits=Limits(max_body=500_000)):
        yield free


def _free() -> int:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


def call(port: int, method_name: str, /, token: str = WORD, **fields: Any) -> Any:
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        method = channel.unary_unary(
            f"/{SERVICE}/{method_name}",
            request_serializer=lambda made: made.SerializeToString(),
            response_deserializer=message(f"{method_name}Response").FromString,
        )
        request = message(f"{method_name}Request")(**fields)
        return method(request, metadata=(("authorization", f"Bearer {token}"),), timeout=30)


def test_masks_and_scores_are_the_segmentors(port: int, package: Path, scene: bytes) -> None:
    element = len(scene).to_bytes(4, "little") + scene
    image = {"name": "image", "datatype": "BYTES", "shape": [1]}
    outputs = [{"name": "mask"}, {"name": "scores"}]
    answer = call(
        port, "ModelInfer", model_name="one", id="7", inputs=[image], outputs=outputs, raw_input_contents=[element]
    )
    arrays = [
        np.frombuffer(data, dtype).reshape(tuple(output.shape))
        for data, output, dtype in zip(answer.raw_output_contents, answer.outputs, (np.uint8, np.float32), strict=True)
    ]
    with segship.Segmentor(package) as segmentor:
        assert np.array_equal(arrays[0], segmentor(scene))
        assert np.array_equal(arrays[1], segmentor.scores(scene))
    assert (answer.model_name, answer.id) == ("one", "7")
    inside = image | {"contents": {"bytes_contents": [scene]}}
    again = call(port, "ModelInfer", model_name="one", inputs=[inside])
    assert again.raw_output_contents[0] == answer.raw_output_contents[0]


def test_health_and_metadata(port: int) -> None:
    assert call(port, "ServerLive", token="").live
    assert call(port, "ServerReady", token="").ready
    assert call(port, "ModelReady", name="one").ready
    assert call(port, "ServerMetadata").name == "segship"
    assert [output.name for output in call(port, "ModelMetadata", name="one").outputs] == ["mask", "scores"]


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"model_name": "two"}, "NOT_FOUND"),
        ({"model_name": "one", "model_version": "9"}, "NOT_FOUND"),
        ({"model_name": "one"}, "INVALID_ARGUMENT"),
        ({"model_name": "one", "token": "wrong"}, "UNAUTHENTICATED"),
        ({"model_name": "one", "inputs": [{"name": "image", "datatype": "UINT8", "shape": [2, 2, 3]}],
          "raw_input_contents": [b"abc"]}, "INVALID_ARGUMENT"),
        ({"model_name": "one", "inputs": [{"name": "image", "datatype": "BYTES", "shape": [1]}],
          "raw_input_contents": [b"\x03\0\0\0abc"]}, "INVALID_ARGUMENT"),
        ({"model_name": "one", "inputs": [{"name": "image", "datatype": "BYTES", "shape": [1]}],
          "raw_input_contents": [bytes(700_000)]}, "RESOURCE_EXHAUSTED"),
        ({"model_name": "one", "inputs": [{"name": "image", "datatype": "UINT8", "shape": [1, 1, 3],
          "contents": {"uint_contents": [1, 256, 1]}}]}, "INVALID_ARGUMENT"),
        ({"model_name": "one", "inputs": [{"name": "image", "datatype": "FP32", "shape": [1, 1, 3],
          "contents": {"fp32_contents": [1, 0.5, 1]}}]}, "INVALID_ARGUMENT"),
        ({"model_name": "one", "inputs": [{"name": "image", "datatype": "FP32", "shape": [2**62, 2**62, 3]}],
          "raw_input_contents": [bytes(12)]}, "INVALID_ARGUMENT"),
        ({"model_name": "one", "inputs": [{"name": "image", "datatype": "UINT8", "shape": [-1, 1, 3]}],
          "raw_input_contents": [b"abc"]}, "INVALID_ARGUMENT"),
        ({"model_name": "one", "inputs": [{"name": "image", "datatype": "BYTES", "shape": [1]}] * 2,
          "raw_input_contents": [b"abc"] * 2}, "INVALID_ARGUMENT"),
        ({"model_name": "one", "inputs": [{"name": "image", "datatype": "BYTES", "shape": [1]}],
          "raw_input_contents": [b"\xff\xff\xff\xffabc"], "outputs": [{"name": "logits"}]}, "INVALID_ARGUMENT"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_has_its_status(port: int, fields: dict[str, Any], code: str) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        call(port, "ModelInfer", **fields)
    assert caught.value.code().name == code
    assert call(port, "ModelReady", name="one").ready


def test_bytes_that_are_no_message_end_one_call(port: int) -> None:
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        for name in ("ModelInfer", "ModelReady", "NoSuchCall"):
            method = channel.unary_unary(f"/{SERVICE}/{name}")
            with pytest.raises(grpc.RpcError):
                method(b"\xff" * 100, metadata=(("authorization", f"Bearer {WORD}"),), timeout=30)
    assert call(port, "ModelReady", name="one").ready


def test_calls_that_are_given_up_are_counted_and_leave_their_place(other: Path, scene: bytes) -> None:
    free = _free()
    image = {"name": "image", "datatype": "BYTES", "shape": [1]}
    request = message("ModelInferRequest")(
        model_name="two", inputs=[image], raw_input_contents=[len(scene).to_bytes(4, "little") + scene]
    )
    with running(f"two={other}", grpc_port=free, at_once=1) as client:
        with grpc.insecure_channel(f"127.0.0.1:{free}") as channel:
            method = channel.unary_unary(
                f"/{SERVICE}/ModelInfer",
                request_serializer=lambda made: made.SerializeToString(),
                response_deserializer=message("ModelInferResponse").FromString,
            )
            asked = [method.future(request, timeout=60) for _ in range(12)]
            asked[0].result()
            for future in asked[4:]:
                future.cancel()
            late = method.future(request, timeout=0.001)
            assert late.code() is grpc.StatusCode.DEADLINE_EXCEEDED
            masks = {future.result().raw_output_contents[0] for future in asked[:4]}
        figures = client.ask("GET", "/metrics")[1].decode()
    assert len(masks) == 1
    counted = dict(
        re.findall(r'segship_requests_total{model="two",route="grpc ModelInfer",status="(\w+)"} (\S+)', figures)
    )
    assert float(counted["OK"]) >= 4
    assert float(counted["CANCELLED"]) >= 1
    assert "segship_queue 0.0" in figures


def test_tritons_own_client(port: int, package: Path, scene: bytes) -> None:
    triton = pytest.importorskip("tritonclient.grpc", reason="pip install tritonclient[grpc]")
    image = triton.InferInput("image", [1], "BYTES")
    image.set_data_from_numpy(np.array([scene], object))
    with triton.InferenceServerClient(f"127.0.0.1:{port}") as client:
        assert client.is_server_live()
        answer = client.infer("one", [image], headers={"authorization": f"Bearer {WORD}"})
        described = client.get_model_metadata("one", headers={"authorization": f"Bearer {WORD}"}, as_json=True)
    assert json.loads(json.dumps(described))["name"] == "one"
    with segship.Segmentor(package) as segmentor:
        assert np.array_equal(answer.as_numpy("mask"), segmentor(scene))
