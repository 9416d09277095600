"""Folders for transformers.js, opened as it does; by its own pipeline where npm has it."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime
import pytest
from PIL import Image

from segship import Segmentor, export
from segship.core.errors import BackendError, InputError, UnsupportedError
from segship.core.spec import ModelSpec, Slide
from segship.deploy import export_transformersjs
from segship.formats.transformersjs import require_writable
from segship.sources import Source
from segship.vision.decode import read_image
from support.commands import segship
from support.trained import write_trained

# What a page does, run by a Node whose folder of modules SEGSHIP_NODE_MODULES names.
RUN = """
import { createRequire } from "node:module";
import { readFile, writeFile } from "node:fs/promises";
const [modules, folder, image, out] = process.argv.slice(2);
const { pipeline, env } = createRequire(modules + "/")("@huggingface/transformers");
env.allowRemoteModels = false;
env.localModelPath = folder + "/../";
const segment = await pipeline("image-segmentation", folder.split("/").pop(), { dtype: "fp32" });
const found = await segment(image);
const { label2id } = JSON.parse(await readFile(folder + "/config.json", "utf8"));
const mask = new Uint8Array(found[0].mask.data.length).fill(255);
for (const { label, mask: { data } } of found) data.forEach((value, at) => { if (value) mask[at] = label2id[label]; });
await writeFile(out, mask);
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return write_trained(tmp_path_factory.mktemp("trained"))


@pytest.fixture(scope="module")
def folder(trained: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("transformersjs") / "street"
    assert export_transformersjs(Source(*trained), out) >= 0.9999
    return out


@pytest.fixture(scope="module")
def package(trained: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Segmentor:
    return Segmentor(export(*trained, tmp_path_factory.mktemp("package") / "out"))


def picture(rows: int, columns: int) -> np.ndarray:
    pixels = np.random.default_rng(0).integers(0, 256, (12, 20, 3), np.uint8)
    return np.asarray(cv2.resize(pixels, (columns, rows), interpolation=cv2.INTER_CUBIC), np.uint8)


def test_the_folder_is_what_the_pipeline_looks_for(folder: Path, package: Segmentor) -> None:
    files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert files == {"config.json", "preprocessor_config.json", "onnx/model.onnx"}
    config = json.loads((folder / "config.json").read_text())
    assert config["model_type"] == "segformer"
    assert tuple(config["id2label"][str(label)] for label in range(len(config["id2label"]))) == package.classes
    processor = json.loads((folder / "preprocessor_config.json").read_text())
    assert not any(processor[name] for name in ("do_resize", "do_rescale", "do_normalize", "do_pad"))


def test_the_greatest_score_is_the_packages_label(folder: Path, package: Segmentor) -> None:
    session = onnxruntime.InferenceSession(folder / "onnx" / "model.onnx")
    for size in ((96, 160), (77, 131), (250, 401)):
        image = picture(*size)
        pixels = image.transpose(2, 0, 1)[None].astype(np.float32)
        logits = session.run(["logits"], {"pixel_values": pixels})[0]
        assert logits.shape == (1, len(package.classes), *size)
        assert (logits[0].argmax(axis=0) == package(image)).mean() >= 0.9999


@pytest.mark.slow
def test_transformersjs_itself_gives_our_labels(folder: Path, package: Segmentor, tmp_path: Path) -> None:
    modules = os.environ.get("SEGSHIP_NODE_MODULES")
    if modules is None or not (Path(modules) / "@huggingface" / "transformers").is_dir():
        pytest.skip("SEGSHIP_NODE_MODULES names no node_modules with @huggingface/transformers; the graph was compared")
    Image.fromarray(picture(77, 131)).save(tmp_path / "image.png")
    (tmp_path / "run.mjs").write_text(RUN)
    arguments = [tmp_path / "run.mjs", modules, folder, tmp_path / "image.png", tmp_path / "mask.raw"]
    subprocess.run(["/usr/bin/env", "node", *map(str, arguments)], check=True, capture_output=True)
    found = np.fromfile(tmp_path / "mask.raw", np.uint8).reshape(77, 131)
    expected = package(read_image(tmp_path / "image.png")[:, :, ::-1])
    assert (found == expected).all()


SPEC = ModelSpec(source="mmseg", architecture="x", classes=("a", "b"), palette=((0, 0, 0), (1, 1, 1)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"slide": Slide(crop=(64, 64), stride=(32, 32))}, r"the network slides.*test_cfg\.mode=whole"),
        ({"pixels": "multispectral"}, "takes bands as they are stored"),
        ({"returns": "labels"}, "this network returns labels"),
    ],
    ids=["slide", "bands", "labels"],
)
def test_what_transformersjs_cannot_do_is_refused(change: dict[str, Any], message: str) -> None:
    require_writable(SPEC)
    with pytest.raises(UnsupportedError, match=message):
        require_writable(SPEC.model_copy(update=change))


def test_only_its_engine_is_taken_and_only_its_own_folders_are_replaced(
    trained: tuple[Path, Path], tmp_path: Path
) -> None:
    with pytest.raises(BackendError, match="onnxruntime in fp32, not for openvino_dynamic"):
        export_transformersjs(Source(*trained), tmp_path / "out", "openvino_dynamic")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "config.json").write_text("{}")
    with pytest.raises(InputError):
        export_transformersjs(Source(*trained), tmp_path / "mine")


def test_options_of_packages_are_refused(trained: tuple[Path, Path], tmp_path: Path) -> None:
    done = segship("export", *trained, tmp_path / "out", "--layout", "transformersjs", "--embed", "pre")
    assert done.returncode == 2
    assert "--embed: for packages of Segship; folders for transformers.js have their own files" in done.stderr
