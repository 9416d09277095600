"""Masks over HTTP are those of `segship.Segmentor`, in every form and protocol."""

from __future__ import annotations

import io
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import segship
from segship.serve.replies import FORMS

from .conftest import Client


@pytest.fixture(scope="module")
def expected(package: Path, other: Path, scene: bytes) -> dict[str, Any]:
    with segship.Segmentor(package) as one, segship.Segmentor(other) as two:
        return {"one": one(scene), "two": two(scene), "scores": one.scores(scene), "spec": one.spec}


def test_labels_are_exact_in_every_form_that_holds_them(client: Client, scene: bytes, expected: dict[str, Any]) -> None:
    mask, spec = expected["one"], expected["spec"]
    with Image.open(io.BytesIO(client.segment(scene, "png"))) as picture:
        assert np.array_equal(np.asarray(picture), mask)
        assert picture.getpalette()[:3] == list(spec.palette[0])
    assert np.array_equal(np.load(io.BytesIO(client.segment(scene, "npy"))), mask)

    flat = np.full(mask.size, 255)
    for entry in json.loads(client.segment(scene, "rle")):
        counts = entry["segmentation"]["counts"]
        inside = np.repeat(np.arange(len(counts)) % 2 == 1, counts)
        flat[: inside.size][inside] = entry["category_id"]
        assert entry["name"] == spec.classes[entry["category_id"]]
    assert np.array_equal(flat.reshape(mask.shape, order="F"), mask)

    counted = json.loads(client.segment(scene, "counts"))
    assert {row["category_id"]: row["pixels"] for row in counted["classes"]} == {
        int(label): int(count) for label, count in zip(*np.unique(mask, return_counts=True), strict=True)
    }
    assert sum(row["share"] for row in counted["classes"]) == pytest.approx(1)


def test_polygons_hold_as_many_pixels_as_the_mask(client: Client, scene: bytes, expected: dict[str, Any]) -> None:
    areas = np.zeros(len(expected["spec"].classes))
    for feature in json.loads(client.segment(scene, "polygons"))["features"]:
        rings = [np.asarray(ring, float) for ring in feature["geometry"]["coordinates"]]
        around = [abs(np.sum(r[:-1, 0] * r[1:, 1] - r[1:, 0] * r[:-1, 1])) / 2 for r in rings]
        areas[feature["properties"]["category_id"]] += around[0] - sum(around[1:])
    assert np.array_equal(areas, np.bincount(expected["one"].ravel(), minlength=len(areas)))


def test_scores_and_pictures(client: Client, scene: bytes, expected: dict[str, Any]) -> None:
    scores = np.load(io.BytesIO(client.segment(scene, "scores")))["scores"]
    assert np.allclose(scores, expected["scores"], atol=1e-3)
    for form, kind in (("jpeg", "JPEG"), ("webp", "WEBP")):
        with Image.open(io.BytesIO(client.segment(scene, form))) as picture:
            assert (picture.format, picture.size) == (kind, expected["one"].shape[::-1])


@pytest.mark.parametrize("form", FORMS)
def test_the_form_may_be_asked_for_by_accept(client: Client, scene: bytes, form: str) -> None:
    wanted = f"text/html;q=0.1, {FORMS[form].media_type}"
    status, body, headers = client.ask("POST", "/v1/models/one/segment", scene, Accept=wanted)
    assert (status, headers["content-type"]) == (200, FORMS[form].media_type)
    assert body == client.segment(scene, form)


def test_an_image_may_come_as_a_form_and_as_torchserves(client: Client, scene: bytes, expected: dict[str, Any]) -> None:
    head = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\n\r\n'
    form = head + scene + b"\r\n--x--\r\n"
    kind = "multipart/form-data; boundary=x"
    for path in ("/v1/models/one/segment", "/predictions/one"):
        status, body, _ = client.ask("POST", path, form, Content_Type=kind)
        assert status == 200
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(body))), expected["one"])
    twice = head + scene + b"\r\n" + form
    assert client.refused("POST", "/predictions/one", twice, Content_Type=kind) == (
        400,
        "the form holds 2 files: send one",
    )
    assert client.get("/ping") == {"status": "Healthy"}


def binary(image: bytes, **more: Any) -> tuple[bytes, str]:
    """A request of the Open Inference Protocol whose tensor follows its JSON."""
    element = len(image).to_bytes(4, "little") + image
    tensor = {"name": "image", "datatype": "BYTES", "shape": [1], "parameters": {"binary_data_size": len(element)}}
    text = json.dumps({"id": "7", "inputs": [tensor], **more}).encode()
    return text + element, str(len(text))


def test_the_open_inference_protocol(client: Client, scene: bytes, expected: dict[str, Any]) -> None:
    assert client.get("/v2")["extensions"] == ["binary_tensor_data"]
    assert client.get("/v2/models/one/ready") == {"name": "one", "ready": True}
    assert client.get("/v2/models/one")["outputs"][0] == {"name": "mask", "datatype": "UINT8", "shape": [-1, -1]}
    body, length = binary(
        scene, parameters={"binary_data_output": True}, outputs=[{"name": "mask"}, {"name": "scores"}]
    )
    status, answer, headers = client.ask("POST", "/v2/models/one/infer", body, Inference_Header_Content_Length=length)
    assert status == 200, answer
    size = int(headers["inference-header-content-length"])
    told, rest = json.loads(answer[:size]), answer[size:]
    assert (told["id"], told["model_name"]) == ("7", "one")
    mask, scores = told["outputs"]
    cut = mask["parameters"]["binary_data_size"]
    assert np.array_equal(np.frombuffer(rest[:cut], np.uint8).reshape(mask["shape"]), expected["one"])
    assert np.array_equal(np.frombuffer(rest[cut:], np.float32).reshape(scores["shape"]), expected["scores"])

    pixels = np.ascontiguousarray(np.asarray(Image.open(io.BytesIO(scene)))[:40, :50])
    tensor = {"name": "image", "datatype": "UINT8", "shape": [1, 40, 50, 3], "data": pixels.ravel().tolist()}
    status, answer, _ = client.ask("POST", "/v2/models/two/infer", json.dumps({"inputs": [tensor]}).encode())
    assert status == 200, answer
    assert json.loads(answer)["outputs"][0]["shape"] == [40, 50]


def test_the_real_client_of_the_protocol(client: Client, scene: bytes, expected: dict[str, Any]) -> None:
    tritonclient = pytest.importorskip("tritonclient.http", reason="pip install tritonclient[http]")
    with tritonclient.InferenceServerClient(f"127.0.0.1:{client.port}") as triton:
        assert triton.is_server_live()
        assert triton.is_server_ready()
        assert triton.is_model_ready("two")
        image = tritonclient.InferInput("image", [1], "BYTES")
        image.set_data_from_numpy(np.array([scene], object))
        asked = [tritonclient.InferRequestedOutput("mask", binary_data=flag) for flag in (True, False)]
        for output in asked:
            answer = triton.infer("two", [image], outputs=[output])
            assert np.array_equal(answer.as_numpy("mask"), expected["two"])


@pytest.mark.parametrize("datatype", ["UINT8", "UINT16", "FP32"])
def test_pixels_may_come_as_numbers_of_any_type(client: Client, package: Path, scene: bytes, datatype: str) -> None:
    pixels = np.ascontiguousarray(np.asarray(Image.open(io.BytesIO(scene)))[:40, :50])
    sent = pixels.astype({"UINT8": "u1", "UINT16": "<u2", "FP32": "<f4"}[datatype])
    with segship.Segmentor(package) as segmentor:
        mask = segmentor(pixels)
    tensor = {"name": "image", "datatype": datatype, "shape": list(pixels.shape)}
    whole = json.dumps({"inputs": [tensor | {"data": sent.ravel().tolist()}]}).encode()
    head = json.dumps({"inputs": [tensor | {"parameters": {"binary_data_size": sent.nbytes}}]}).encode()
    for body, length in ((whole, len(whole)), (head + sent.tobytes(), len(head))):
        named = {"Inference_Header_Content_Length": str(length)}
        status, answer, _ = client.ask("POST", "/v2/models/one/infer", body, **named)
        assert status == 200, answer
        assert json.loads(answer)["outputs"][0]["data"] == mask.ravel().tolist()


def test_eight_clients_of_two_models_get_their_own_masks(
    client: Client, scene: bytes, expected: dict[str, Any]
) -> None:
    def one(number: int) -> bool:
        name = ("one", "two")[number % 2]
        return np.array_equal(np.load(io.BytesIO(client.segment(scene, "npy", name))), expected[name])

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(one, range(48)))


def test_what_is_served_is_told(client: Client) -> None:
    told = client.get("/v1/models")["models"]
    assert [model["name"] for model in told] == ["one", "two"]
    assert client.get("/v1/models/one")["manifest"]["spec"]["classes"] == told[0]["classes"]
    status, figures, headers = client.ask("GET", "/metrics")
    assert status == 200
    assert headers["content-type"].startswith("text/plain")
    assert b'segship_requests_total{model="one",route="/v1/models/{name}/segment",status="200"}' in figures
    assert client.refused("GET", "/v1/models/none") == (404, "there is no model 'none', but one, two")
