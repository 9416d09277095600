from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

import segship as product
from segship import Segmentor
from segship.core.errors import InputError
from segship.datasets.label_encoding import LabelEncoding
from segship.datasets.samples import pair_up
from segship.evaluation import evaluate
from segship.tools.tensors import Index, pack, read_index, read_network, score
from support.commands import refused, segship
from support.trained import write_trained

SIZES = ((77, 131), (96, 160), (120, 90))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    random = np.random.default_rng(0)
    for name in ("images/a", "labels/a"):
        (folder / name).mkdir(parents=True)
    for number, (height, width) in enumerate(SIZES):
        name = f"a/street{number}.png" if number else "street0.png"
        pixels = cv2.resize(random.integers(0, 256, (6, 9, 3), np.uint8), (width, height))
        cv2.imwrite(str(folder / "images" / name), pixels)
        labels = random.integers(0, 5, (height, width), np.uint8)
        labels[labels == 4] = 255
        cv2.imwrite(str(folder / "labels" / name), labels)
    return folder


@pytest.fixture(scope="module")
def sliding(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sliding")
    files = write_trained(folder, test_cfg="mode='slide', crop_size=(64, 64), stride=(42, 42)")
    return product.export(*files, folder / "package").path


def packed(package: Path, data: Path, to: Path) -> Index:
    network = read_network(package)
    return pack(network, pair_up(data / "images", data / "labels"), LabelEncoding(len(network.spec.classes)), to)


def run_elsewhere(package: Path, folder: Path, to: Path, ending: str = "", dtype: str = "float32") -> None:
    """What another program does: raw inputs in, raw outputs out, nothing else known."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(package / "model.onnx"), providers=["CPUExecutionProvider"])
    to.mkdir()
    for item in read_index(folder).items:
        for tensor in item.inputs:
            values = np.fromfile(folder / tensor.file, np.float32).reshape(tensor.shape)
            logits = session.run(None, {session.get_inputs()[0].name: values})[0]
            logits.astype(dtype).tofile(to / f"{Path(tensor.file).stem}{ending}.bin")


@pytest.mark.parametrize("kind", ["whole", "slide"])
def test_outputs_of_another_program_score_as_the_package_does(
    kind: str, package: Path, sliding: Path, data: Path, tmp_path: Path
) -> None:
    chosen = package if kind == "whole" else sliding
    index = packed(chosen, data, tmp_path / "packed")
    run_elsewhere(chosen, tmp_path / "packed", tmp_path / "outputs", ending="_0")
    for file in (tmp_path / "packed").glob("*.bin"):
        file.unlink()  # the index is enough
    found = score(tmp_path / "packed", tmp_path / "outputs")
    pairs = [(sample.image, sample.labels) for sample in pair_up(data / "images", data / "labels")]
    expected = evaluate(Segmentor(chosen), pairs)
    assert np.abs(found.matrix - expected.matrix).sum() <= 1e-3 * expected.matrix.sum()  # engines' last bits
    assert (found.images, found.matrix.sum()) == (3, expected.matrix.sum())
    assert (len(index.items[0].inputs) > 1) == (kind == "slide")


def test_the_index_says_image_file_and_label_map(package: Path, data: Path, tmp_path: Path) -> None:
    packed(package, data, tmp_path / "packed")
    with (tmp_path / "packed" / "index.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {(Path(row["image"]).name, row["bin"]) for row in rows} == {
        ("street0.png", "street0.bin"),
        ("street1.png", "a__street1.bin"),
        ("street2.png", "a__street2.bin"),
    }
    for row in rows:
        assert Path(row["labels"]).is_file()
        assert (tmp_path / "packed" / row["bin"]).stat().st_size % (3 * 4) == 0


def test_what_is_packed_is_what_the_network_would_be_given(package: Path, data: Path, tmp_path: Path) -> None:
    item = packed(package, data, tmp_path / "packed").items[0]
    spec = read_network(package).spec
    image = cv2.imread(item.image)
    scale = min(160 / image.shape[1], 96 / image.shape[0])
    size = int(image.shape[1] * scale + 0.5), int(image.shape[0] * scale + 0.5)
    expected = (
        cv2.resize(image, size)[:, :, ::-1].astype(np.float32) - spec.normalization.mean
    ) / spec.normalization.std
    found = np.fromfile(tmp_path / "packed" / item.inputs[0].file, np.float32).reshape(item.inputs[0].shape)
    np.testing.assert_allclose(found[0].transpose(1, 2, 0), expected, atol=1e-6)


def test_labels_that_an_engine_decided_itself_are_scored(package: Path, data: Path, tmp_path: Path) -> None:
    index = packed(package, data, tmp_path / "packed")
    (tmp_path / "outputs").mkdir()
    for item in index.items:
        height, width = item.inputs[0].shape[2:]
        np.full((height, width), 2, np.int32).tofile(tmp_path / "outputs" / item.inputs[0].file)
    found = score(tmp_path / "packed", tmp_path / "outputs", dtype="int32")
    assert found.matrix[:, [0, 1, 3]].sum() == 0
    assert found.scores.Acc[2] == 100


def test_half_precision_and_npy_files_are_read(package: Path, data: Path, tmp_path: Path) -> None:
    packed(package, data, tmp_path / "packed")
    run_elsewhere(package, tmp_path / "packed", tmp_path / "half", dtype="float16")
    run_elsewhere(package, tmp_path / "packed", tmp_path / "whole")
    found = score(tmp_path / "packed", tmp_path / "half", dtype="float16")
    for item in read_index(tmp_path / "packed").items:
        raw = tmp_path / "whole" / item.inputs[0].file
        height, width = (-(-side // 8) for side in item.inputs[0].shape[2:])
        np.save(raw.with_suffix(".npy"), np.fromfile(raw, np.float32).reshape(1, 4, height, width))
        raw.unlink()
    exact = score(tmp_path / "packed", tmp_path / "whole")
    assert np.abs(found.matrix - exact.matrix).sum() < 0.01 * exact.matrix.sum()


@pytest.mark.parametrize(
    ("spoil", "options", "expected"),
    [
        (lambda file: file.unlink(), {}, "holds no a__street1.bin"),
        (lambda file: file.write_bytes(b"12345"), {}, "5 bytes, which are no float32"),
        (lambda file: file.write_bytes(bytes(4 * 7)), {}, r"holds 7 float32 values, expected 4 x 96 x 160"),
        (lambda _: None, {"dtype": "float64"}, "no type is called 'float64'"),
        (lambda _: None, {"output_size": (3, 3)}, "expected 4 x 3 x 3"),
    ],
)
def test_outputs_that_cannot_be_are_named(
    package: Path, data: Path, tmp_path: Path, spoil: object, options: dict[str, object], expected: str
) -> None:
    packed(package, data, tmp_path / "packed")
    run_elsewhere(package, tmp_path / "packed", tmp_path / "outputs")
    spoil(tmp_path / "outputs" / "a__street1.bin")
    with pytest.raises(InputError, match=expected):
        score(tmp_path / "packed", tmp_path / "outputs", **options)


def test_an_index_of_version_0_1_is_read(tmp_path: Path) -> None:
    spec = {"source": "x", "architecture": "x", "classes": ["a"], "palette": [[0, 0, 0]]}
    record = {"version": 1, "spec": spec, "sizes": {"multiple_of": 8}, "coding": {"classes": 1}, "items": []}
    (tmp_path / "index.json").write_text(json.dumps(record))
    found = read_index(tmp_path)
    assert (found.schema_version, found.spec.classes, found.sizes.multiple_of) == (1, ("a",), 8)


def test_a_folder_that_was_not_packed_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="tensors pack"):
        score(tmp_path, tmp_path)
    (tmp_path / "index.json").write_text('{"version": 99}')
    with pytest.raises(InputError, match="has schema version 99, this Segship reads up to 2"):
        read_index(tmp_path)
    (tmp_path / "index.json").write_text('{"version": 1}')
    with pytest.raises(InputError, match="damaged"):
        read_index(tmp_path)


def test_the_commands_need_no_torch_where_the_network_is_a_package(package: Path, data: Path, tmp_path: Path) -> None:
    files = ("--images", data / "images", "--labels", data / "labels")
    done = segship("tools", "tensors", "pack", package, *files, "--to", tmp_path / "packed", torch=False)
    assert done.returncode == 0, done.stderr
    assert "3 images, 3 inputs" in done.stdout
    run_elsewhere(package, tmp_path / "packed", tmp_path / "outputs")
    done = segship("tools", "tensors", "score", tmp_path / "packed", tmp_path / "outputs", "--json", "-", torch=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["images"] == 3
    shutil.rmtree(tmp_path / "outputs")
    assert "is not a folder" in refused(
        segship("tools", "tensors", "score", tmp_path / "packed", tmp_path / "outputs", torch=False)
    )
