"""Models of OpenVINO's: what is understood, what becomes of them, and what is refused before OpenVINO sees it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from segship.core.errors import BackendError, ConfigError, InputError, SegshipError, UnsupportedError
from segship.core.spec import SizeRule
from segship.deploy import Int8, describe, export
from segship.deploy.verify import verify
from segship.runtime import Segmentor
from segship.sources import Source, find_source, load, sources
from support.commands import refused, segship

if TYPE_CHECKING:
    from collections.abc import Callable

ov = pytest.importorskip("openvino", reason="OpenVINO is not installed here")
from openvino import opset8 as ops  # noqa: E402

UNRECORDED = "the file is its own reference: OpenVINO runs it while the tests run"

WEIGHTS = np.random.default_rng(0).normal(size=(3, 3, 3, 3)).astype(np.float32)
CLASSES = ["classes=[road,wall,sky]"]


def write(
    path: Path,
    *,
    shape: tuple[int, ...] = (-1, 3, -1, -1),
    end: Callable[[Any], list[Any]] = lambda scores: [scores],
    info: dict[str, Any] | None = None,
) -> Path:
    """A convolution of stride 2, followed by ``end``."""
    image = ops.parameter(ov.PartialShape(list(shape)), dtype=np.float32, name="pixels")
    pixels = image if shape[1] == 3 else ops.transpose(image, [0, 3, 1, 2])
    scores = ops.convolution(pixels, ops.constant(WEIGHTS), [2, 2], [1, 1], [1, 1], [1, 1])
    model = ov.Model([ops.result(value) for value in end(scores)], [image], "small")
    model.inputs[0].get_tensor().set_names({"pixels"})
    for number, output in enumerate(model.outputs):
        output.get_tensor().set_names({f"out-{number}"})
    for key, value in (info or {}).items():
        model.set_rt_info(value, ["model_info", key])
    ov.save_model(model, path, compress_to_fp16=False)
    return path


def labels_of(scores: Any) -> list[Any]:
    best = ops.topk(scores, ops.constant(1), 1, "max", "none").output(1)
    return [ops.convert(ops.squeeze(best, ops.constant([1])), "u8")]


def expected(x: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.conv2d(x, torch.from_numpy(WEIGHTS), stride=2, padding=1)


def random(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def test_scores_are_those_of_the_model(tmp_path: Path) -> None:
    path = write(tmp_path / "road.xml")
    (tmp_path / "road.yaml").write_text(
        "classes: [road, wall, sky]\nnormalization: {mean: [0.5, 0.5, 0.5], std: [1, 1, 1], max_pixel_value: 255}\n"
    )
    assert find_source(path) is find_source(tmp_path) is sources()["openvino"]
    loaded = load(path)
    assert loaded.spec.classes == ("road", "wall", "sky")
    assert loaded.spec.normalization.mean == (127.5, 127.5, 127.5)
    assert set(loaded.origin) == {"road.xml", "road.bin", "road.yaml"}
    for shape in ((2, 3, 16, 24), (1, 3, 33, 41)):
        torch.testing.assert_close(loaded.network.logits(random(*shape)), expected(random(*shape)), atol=1e-5, rtol=0)


def test_labels_become_a_score_for_each_class(tmp_path: Path) -> None:
    path = write(tmp_path / "a.xml", end=labels_of)
    with pytest.raises(ConfigError, match=r"returns labels.*classes"):
        load(path, normalize="none")
    scores = load(path, cfg_options=CLASSES, normalize="none").network.logits(random(2, 3, 16, 24))
    labels = expected(random(2, 3, 16, 24)).argmax(1)
    torch.testing.assert_close(scores, torch.nn.functional.one_hot(labels, 3).permute(0, 3, 1, 2).float())


def test_what_the_model_says_of_itself_is_read(tmp_path: Path) -> None:
    info = {"labels": "road wall sky", "mean_values": "1 2 3", "scale_values": 255.0, "reverse_input_channels": True}
    spec, sizes, notes, _ = describe(write(tmp_path / "a.xml", shape=(1, 3, 32, 48), info=info))
    assert spec.classes == ("road", "wall", "sky")
    assert (spec.normalization.mean, spec.normalization.std) == ((1, 2, 3), (255, 255, 255))
    assert (sizes, spec.normalization.channel_order) == (SizeRule(fixed=(32, 48), batch=1), "rgb")
    assert not any("reverse_input_channels" in note for note in notes)
    embedded = {"mean_values": "1 2 3", "embedded_processing": True, "reverse_input_channels": False}
    spec, _, notes, _ = describe(write(tmp_path / "b.xml", info=embedded))
    assert spec.normalization.mean == (0, 0, 0)
    assert any("normalization.channel_order=bgr" in note for note in notes)
    with pytest.raises(ConfigError, match="'many' under model_info is not a list of numbers"):
        load(write(tmp_path / "c.xml", info={"mean_values": "many"}))
    with pytest.raises(ConfigError, match=r"d\.xml: model_info cannot be used: .*std must not be zero"):
        load(write(tmp_path / "d.xml", info={"mean_values": "1 2 3", "scale_values": "0 0 0"}))
    with pytest.raises(ConfigError, match="nothing says how the input of"):
        load(write(tmp_path / "e.xml", info={"labels": "road wall sky", "reverse_input_channels": True}))


def test_ultralytics_folder_is_read(tmp_path: Path) -> None:
    write(tmp_path / "yolo.xml", shape=(1, 3, 64, 96), end=labels_of)
    said = "author: Ultralytics\ntask: {}\nimgsz: [64, 96]\nnames: {{0: road, 1: wall, 2: sky}}\n"
    said += "description: YOLO26n-sem\n"
    (tmp_path / "metadata.yaml").write_text(said.format("semantic"))
    loaded = load(tmp_path)
    assert (loaded.spec.architecture, loaded.spec.classes) == ("YOLO26n-sem", ("road", "wall", "sky"))
    assert loaded.spec.normalization.std == (255, 255, 255)
    (tmp_path / "metadata.yaml").write_text(said.format("detect"))
    with pytest.raises(UnsupportedError, match="task 'detect' of Ultralytics"):
        load(tmp_path)


@pytest.mark.parametrize("target", ["openvino_dynamic", "openvino-fp16_static-64x96"])
def test_package_gives_the_models_own_scores(tmp_path: Path, target: str) -> None:
    path = write(tmp_path / "a.xml")
    source = Source(path, cfg_options=CLASSES, normalize="none")
    package = export(source, tmp_path / "package", target=target)
    assert package.manifest.sizes == (SizeRule(fixed=(64, 96)) if "static" in target else SizeRule())
    assert any("compared with itself" in note for note in package.manifest.notes)
    assert not verify(source, package).failures
    image = np.random.default_rng(1).integers(0, 256, (64, 96, 3), np.uint8)
    logits = expected(torch.from_numpy(image).permute(2, 0, 1)[None].float())
    large = torch.nn.functional.interpolate(logits, (64, 96), mode="bilinear")
    mask = Segmentor(package.path)(image, channel_order="rgb")
    assert (mask == large.argmax(1)[0].numpy()).mean() > 0.999


def test_a_package_of_our_own_describes_itself(tmp_path: Path) -> None:
    source = Source(write(tmp_path / "a.xml"), cfg_options=CLASSES, normalize="none")
    first = export(source, tmp_path / "first", target="openvino_dynamic")
    assert load(first.path).spec.classes == load(first.path / "model.xml").spec.classes == ("road", "wall", "sky")


@pytest.mark.parametrize(
    ("target", "options", "message"),
    [
        (
            "onnxruntime_dynamic",
            {},
            "comes as a model of OpenVINO, which ONNX Runtime cannot read: choose --backend openvino",
        ),
        ("torchscript_dynamic", {}, "choose --backend openvino"),
        ("openvino-int8_dynamic", {"int8": Int8(calibration=Path("images"))}, "int8 is made from ONNX"),
        ("openvino_dynamic", {"embed": "pre,post"}, "--embed adds to a graph of ONNX"),
    ],
)
def test_what_needs_another_graph_is_refused(
    tmp_path: Path, target: str, options: dict[str, Any], message: str
) -> None:
    source = Source(write(tmp_path / "a.xml"), normalize="none")
    with pytest.raises(UnsupportedError, match=message):
        export(source, tmp_path / "package", target=target, **options)
    assert not (tmp_path / "package").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"shape": (2, 3, 32, 48)}, "takes 2 images at once and no single one"),
        (
            {"end": lambda scores: [ops.reduce_mean(scores, [2, 3])]},
            r"returns out-0: float32 \(side-0, 3\); expected one",
        ),
        ({"end": lambda scores: [scores, ops.relu(scores)]}, r"out-0: float32 .*; out-1: float32 .*output_name=NAME"),
        ({"shape": (1, 3, 32, -1)}, "only one of height and width is free"),
    ],
)
def test_what_does_not_fit_is_told_with_its_shapes(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        load(write(tmp_path / "a.xml", **change), normalize="none")


def test_one_of_several_outputs_may_be_chosen(tmp_path: Path) -> None:
    path = write(tmp_path / "a.xml", end=lambda scores: [scores, ops.relu(scores)])
    x = random(1, 3, 16, 16)
    chosen = load(path, cfg_options=["output_name=out-1"], normalize="none").network.logits(x)
    torch.testing.assert_close(chosen, expected(x).relu(), atol=1e-5, rtol=0)


ENTITY = '<!DOCTYPE net [<!ENTITY passwords SYSTEM "file:///etc/passwd">]>\n<net'


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("<net", ENTITY, "declares a document type"),
        ('offset="0"', 'offset="4096"', "needs 4420 bytes of weights, but a.bin beside it has 324"),
        ('offset="0"', 'offset="-8"', "a constant lies at -8"),
        ('type="Convolution" version="opset1"', 'type="Run" version="mine"', "not OpenVINO's own: mine::Run"),
        ('version="11"', 'version="7"', "expected <net version="),
        ("</net>", "", "is no model of OpenVINO"),
        ("<layers>", "<layers>" + "<a>" * 300, "nested deeper than"),
    ],
)
def test_hostile_text_is_refused_before_openvino_reads_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, old: str, new: str, message: str
) -> None:
    path = write(tmp_path / "a.xml")
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    monkeypatch.setattr(ov, "Core", lambda: pytest.fail("OpenVINO was asked to read it"))
    with pytest.raises(BackendError, match=message):
        load(path)


def test_text_of_any_length_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "a.xml"
    with path.open("wb") as file:
        file.write(b'<net version="11">')
        file.truncate(2**28 + 1)
    with pytest.raises(BackendError, match="more than any model's text"):
        load(path)


def test_missing_weights_are_told(tmp_path: Path) -> None:
    path = write(tmp_path / "a.xml")
    (tmp_path / "a.bin").unlink()
    with pytest.raises(BackendError, match=r"a\.bin beside it is not there"):
        load(path)
    with pytest.raises(InputError, match=r"is no model of OpenVINO: expected an \.xml file"):
        load(tmp_path, source="openvino")


def test_other_xml_is_not_taken_for_a_model(tmp_path: Path) -> None:
    path = tmp_path / "annotations.xml"
    path.write_text("<annotation><size/></annotation>")
    with pytest.raises(SegshipError, match="not recognised"):
        find_source(path)


def test_the_commands_take_it(tmp_path: Path) -> None:
    path = write(tmp_path / "a.xml", info={"labels": "road wall sky"})
    assert "--normalize imagenet" in refused(segship("info", path))
    assert "wall" in segship("info", path, "--normalize", "unit").stdout
    scenes = Path(__file__).parents[2] / "src" / "segship" / "assets" / "demo" / "images"
    assert "--backend openvino" in refused(segship("predict", path, scenes, "--to", tmp_path / "masks"))
