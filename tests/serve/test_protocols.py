"""Eight clients at once, by every protocol, of three models on two engines: each gets its package's own mask."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

pytest.importorskip("grpc", reason="pip install segship[grpc]")
pytest.importorskip("openvino", reason="pip install segship[openvino]")

import segship
from support.trained import write_trained

from .conftest import Client, running
from .test_grpc import _free, call
from .test_replies import binary

Ask = Callable[[Client, int, str, bytes], NDArray[np.uint8]]


def segship_png(client: Client, _: int, model: str, image: bytes) -> NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(client.segment(image, "png", model))))


def torchserve(client: Client, _: int, model: str, image: bytes) -> NDArray[np.uint8]:
    status, body, _headers = client.ask("POST", f"/predictions/{model}", image)
    assert status == 200, body
    return np.asarray(Image.open(io.BytesIO(body)))


def over_rest(client: Client, _: int, model: str, image: bytes) -> NDArray[np.uint8]:
    body, length = binary(image, parameters={"binary_data_output": True}, outputs=[{"name": "mask"}])
    named = {"Inference_Header_Content_Length": length}
    status, answer, headers = client.ask("POST", f"/v2/models/{model}/infer", body, **named)
    assert status == 200, answer
    size = int(headers["inference-header-content-length"])
    return np.frombuffer(answer[size:], np.uint8).reshape(json.loads(answer[:size])["outputs"][0]["shape"])


def over_grpc(_: Client, port: int, model: str, image: bytes) -> NDArray[np.uint8]:
    asked = {"name": "image", "datatype": "BYTES", "shape": [1], "contents": {"bytes_contents": [image]}}
    answer = call(port, "ModelInfer", model_name=model, inputs=[asked])
    return np.frombuffer(answer.raw_output_contents[0], np.uint8).reshape(tuple(answer.outputs[0].shape))


PROTOCOLS: tuple[Ask, ...] = (segship_png, torchserve, over_rest, over_grpc)


def test_every_protocol_model_and_engine_gives_the_packages_mask(
    package: Path, other: Path, scene: bytes, tmp_path: Path
) -> None:
    third = segship.export(*write_trained(tmp_path), tmp_path / "openvino", target="openvino_dynamic").path
    packages = {"one": package, "two": other, "three": third}
    right = {}
    for name, path in packages.items():
        with segship.Segmentor(path) as segmentor:
            right[name] = segmentor(scene)
    assert not np.array_equal(right["one"], right["two"])
    port = _free()
    with running(*(f"{name}={path}" for name, path in packages.items()), grpc_port=port) as client:
        asked = [(ask, name) for ask in PROTOCOLS for name in packages] * 4

        def is_right(ask: Ask, name: str) -> bool:
            return np.array_equal(ask(client, port, name, scene), right[name])

        with ThreadPoolExecutor(8) as pool:
            assert all(pool.map(is_right, *zip(*asked, strict=True)))
