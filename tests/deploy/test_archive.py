"""Folders and archives that other servers open."""

from __future__ import annotations

import importlib.util
import json
import zipfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime
import pytest

import segship
from segship.core.errors import InputError, PackageError, UnsupportedError
from segship.deploy.archive import archive
from support.trained import write_trained


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    return segship.export(*write_trained(folder), folder / "street", embed="pre,post").path


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plain")
    return segship.export(*write_trained(folder), folder / "street").path


def fields_of(text: str) -> dict[str, Any]:
    """The fields of a config.pbtxt that stand on lines of their own."""
    return dict(line.strip().split(": ", 1) for line in text.splitlines() if ": " in line and "kind" not in line)


def test_a_repository_of_tritons_holds_the_engine_and_says_its_tensors(whole: Path, tmp_path: Path) -> None:
    out = archive(whole, tmp_path / "repository", format="triton", name="fields")
    config = (out / "fields" / "config.pbtxt").read_text()
    assert 'name: "fields"\nbackend: "onnxruntime"\n' in config
    session = onnxruntime.InferenceSession(out / "fields" / "1" / "model.onnx")
    (image,), (mask,) = session.get_inputs(), session.get_outputs()
    assert f'name: "{image.name}"\n    data_type: TYPE_UINT8\n    dims: [ -1, -1, 3 ]' in config
    assert f'name: "{mask.name}"\n    data_type: TYPE_UINT8\n    dims: [ -1, -1 ]' in config
    assert fields_of(config)["max_batch_size"] == "0"
    with segship.Segmentor(whole) as segmentor:
        assert (out / "fields" / "labels.txt").read_text().split("\n")[:-1] == list(segmentor.classes)
        pixels = np.random.default_rng(0).integers(0, 256, (40, 56, 3), np.uint8)
        assert np.array_equal(session.run(None, {image.name: pixels})[0], segmentor(pixels))


def test_tritons_own_reader_takes_the_config(whole: Path, tmp_path: Path) -> None:
    model_config = pytest.importorskip("tritonclient.grpc.model_config_pb2", reason="pip install tritonclient[grpc]")
    from google.protobuf import text_format

    out = archive(whole, tmp_path / "repository", format="triton")
    read = text_format.Parse((out / "street" / "config.pbtxt").read_text(), model_config.ModelConfig())
    assert [list(tensor.dims) for tensor in (*read.input, *read.output)] == [[-1, -1, 3], [-1, -1]]
    assert read.output[0].label_filename == "labels.txt"


def test_openvinos_server_and_kserve(whole: Path, tmp_path: Path) -> None:
    out = archive(whole, tmp_path / "models", format="ovms")
    listed = json.loads((out / "config.json").read_text())["model_config_list"]
    assert listed == [{"config": {"name": "street", "base_path": "/models/street"}}]
    assert (out / "street" / "1" / "model.onnx").is_file()
    out = archive(whole, tmp_path / "kserve", format="kserve", name="My_Street")
    yaml = pytest.importorskip("yaml")
    service = yaml.safe_load((out / "service.yaml").read_text())
    assert service["metadata"]["name"] == "my-street"
    assert service["spec"]["predictor"]["model"]["runtime"] == "kserve-tritonserver"
    assert (out / "repository" / "My_Street" / "config.pbtxt").is_file()


class Context:
    """What TorchServe gives a handler."""

    def __init__(self, folder: Path) -> None:
        self.system_properties = {"model_dir": str(folder)}
        self.types: dict[int, str] = {}
        self.statuses: dict[int, int] = {}

    def set_response_content_type(self, number: int, value: str) -> None:
        self.types[number] = value

    def set_response_status(self, code: int, phrase: str, idx: int) -> None:
        assert phrase
        self.statuses[idx] = code


def test_torchserves_archive_holds_a_handler_that_gives_the_mask(plain: Path, tmp_path: Path) -> None:
    out = archive(plain, tmp_path / "store", format="torchserve")
    with zipfile.ZipFile(out / "street.mar") as opened:
        opened.extractall(tmp_path / "opened")
    told = json.loads((tmp_path / "opened" / "MAR-INF" / "MANIFEST.json").read_text())
    assert told["model"]["modelName"] == "street"
    assert (tmp_path / "opened" / "requirements.txt").read_text() == f"segship=={segship.__version__}\n"
    location = importlib.util.spec_from_file_location("handler", tmp_path / "opened" / told["model"]["handler"])
    assert location is not None
    assert location.loader is not None
    module = importlib.util.module_from_spec(location)
    location.loader.exec_module(module)
    handler, context = module.Handler(), Context(tmp_path / "opened")
    handler.initialize(context)
    pixels = np.random.default_rng(0).integers(0, 256, (40, 56, 3), np.uint8)
    image = bytes(cv2.imencode(".png", pixels)[1])
    mask, reason = handler.handle([{"body": bytearray(image)}, {"data": b"nothing"}], context)
    with segship.Segmentor(plain) as segmentor:
        assert np.array_equal(
            cv2.imdecode(np.frombuffer(mask, np.uint8), cv2.IMREAD_UNCHANGED), _drawn(segmentor, image)
        )
    assert (context.types, context.statuses) == ({0: "image/png"}, {1: 400})
    assert "not an image" in reason


def _drawn(segmentor: segship.Segmentor, image: bytes) -> Any:
    """The mask's colours, as OpenCV reads a PNG with a palette."""
    colours = np.asarray(segmentor.spec.palette, np.uint8)[segmentor(image)]
    return colours[:, :, ::-1]


def test_the_same_package_gives_the_same_archive(plain: Path, tmp_path: Path) -> None:
    first, second = (archive(plain, tmp_path / name, format="torchserve", name="a") for name in ("one", "two"))
    assert (first / "a.mar").read_bytes() == (second / "a.mar").read_bytes()


def test_what_a_server_cannot_do_is_refused(plain: Path, whole: Path, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match="--embed pre,post"):
        archive(plain, tmp_path / "a", format="triton")
    with pytest.raises(InputError, match="cannot be part"):
        archive(whole, tmp_path / "a", format="ovms", name="a/b")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(InputError):
        archive(whole, tmp_path / "mine", format="triton")
    assert (tmp_path / "mine" / "notes.txt").read_text() == "mine"
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    (damaged / "manifest.json").write_text("{}")
    with pytest.raises(PackageError):
        archive(damaged, tmp_path / "a", format="triton")


def test_an_archive_is_replaced_by_a_newer_one(whole: Path, tmp_path: Path) -> None:
    archive(whole, tmp_path / "out", format="triton", name="old")
    archive(whole, tmp_path / "out", format="ovms", name="new")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["config.json", "new", "segship-archive.json"]
