from __future__ import annotations

import itertools
import shutil
from pathlib import Path

import onnx
import pytest
from torch import nn

from segship import Segmentor, Temperature, export, export_module
from segship.core.errors import BackendError, InputError, SegshipWarning, VerificationError
from segship.core.manifest import read_manifest
from segship.core.spec import ModelSpec, Pad, Resize, ResizeShortestEdge, SizeRule, Slide
from segship.core.target import Shape, Target
from segship.deploy import Int8
from segship.deploy.shapes import resolve
from segship.verification.inputs import spread
from support.demo import ASSETS, CHECKPOINT, CONFIG, small_demo

DEMO = CONFIG, CHECKPOINT


def test_int8_without_images_says_what_it_needs(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--calibration FOLDER"):
        export(*DEMO, tmp_path / "out", target="onnxruntime-int8_dynamic")
    assert list(tmp_path.iterdir()) == []


def test_a_precision_an_engine_does_not_build_is_refused_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(BackendError, match=r"fp32, fp16, int8, not bf16: .*no bfloat16"):
        export(*DEMO, tmp_path / "out", target="onnxruntime-bf16_dynamic")


@pytest.mark.slow
def test_half_precision_passes_its_gate_and_is_written_down(tmp_path: Path) -> None:
    manifest = export(*DEMO, tmp_path / "out", target="onnxruntime-fp16_dynamic").manifest
    assert manifest == read_manifest(tmp_path / "out")
    assert manifest.target.precision == "fp16"
    assert manifest.failures == ()
    assert 1e-5 < max(check.max_difference for check in manifest.checks) < 1e-2
    assert all(0 <= share <= 1 for check in manifest.checks for share in check.classes.values())


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_int8_is_judged_by_iou_and_gives_layers_back_until_it_passes(tmp_path: Path) -> None:
    pytest.importorskip("nncf", reason="int8 needs segship[int8]")
    network = small_demo(tmp_path)
    options = Int8(calibration=ASSETS / "images", labels=ASSETS / "labels", images=6)
    with pytest.warns(SegshipWarning, match="calibrated on 6 images"):
        manifest = export(*network, tmp_path / "first", target="onnxruntime-int8_dynamic", int8=options).manifest
    record = manifest.quantization
    assert record is not None
    assert (record.images, record.labelled) == (6, 6)
    assert record.before is not None
    assert record.after is not None
    assert abs(record.after.mIoU - record.before.mIoU) <= 0.5
    fits = manifest.calibration
    assert fits is not None
    assert fits.network is not None
    assert (fits.images, fits.engine.precision, fits.network.precision) == (6, "int8", "fp32")
    temperature = Temperature(calibration=ASSETS / "images", labels=ASSETS / "labels", images=6)
    alone = export(*network, tmp_path / "fp32", temperature=temperature).manifest.calibration
    assert alone is not None
    assert fits.network.temperatures == pytest.approx(alone.engine.temperatures, rel=1e-3)
    assert fits.network.before.ece == pytest.approx(alone.engine.before.ece, abs=1e-4)
    assert fits.engine != fits.network
    shutil.rmtree(tmp_path / "fp32")
    mask = Segmentor(tmp_path / "first")(ASSETS / "images" / "scene_00.jpg")
    assert mask.shape == (256, 512)

    impossible = Int8(calibration=ASSETS / "images", labels=ASSETS / "labels", images=3, drop=-1)
    with (
        pytest.warns(SegshipWarning, match="calibrated on 3 images"),
        pytest.raises(VerificationError, match=r"mIoU .* at most -1 allowed"),
    ):
        export(*network, tmp_path / "second", target="onnxruntime-int8_dynamic", int8=impossible)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["first", network[0].name]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_failed_gate_may_be_accepted_and_is_then_in_the_manifest(tmp_path: Path) -> None:
    pytest.importorskip("nncf", reason="int8 needs segship[int8]")
    options = Int8(calibration=ASSETS / "images", images=2, agreement=1.1)
    with pytest.warns(SegshipWarning, match="calibrated on 2 images"):
        manifest = export(
            *small_demo(tmp_path), tmp_path / "out", target="onnxruntime-int8_dynamic", int8=options, allow_inexact=True
        ).manifest
    assert len(manifest.failures) == 1
    assert "keep their label" in manifest.failures[0]
    assert read_manifest(tmp_path / "out").failures == manifest.failures


@pytest.mark.parametrize(("count", "most"), [(3, 5), (5, 5), (100, 7), (64, 63)])
def test_a_selection_is_spread_evenly(count: int, most: int) -> None:
    chosen = spread(list(range(count)), most)
    assert len(chosen) == min(count, most)
    assert chosen[0] == 0
    steps = [after - before for before, after in itertools.pairwise(chosen)]
    assert max(steps) - min(steps) <= 1


SPEC = ModelSpec(source="mmseg", architecture="x", classes=("a", "b"), palette=((0, 0, 0), (1, 1, 1)))
OWN = Target(backend="onnxruntime", shape=Shape(own=True))


@pytest.mark.parametrize(
    ("spec", "rule", "size"),
    [
        (SPEC, SizeRule(fixed=(64, 64)), (64, 64)),
        (SPEC.model_copy(update={"slide": Slide(crop=(512, 512), stride=(341, 341))}), SizeRule(), (512, 512)),
        (SPEC.model_copy(update={"geometry": (Resize(width=2048, height=1024),)}), SizeRule(), (1024, 2048)),
    ],
)
def test_static_without_a_size_is_the_one_the_preprocessing_makes(
    spec: ModelSpec, rule: SizeRule, size: tuple[int, int]
) -> None:
    assert resolve(OWN, spec, rule).shape.static == size


def test_preprocessing_that_makes_no_single_size_must_be_told_one() -> None:
    spec = SPEC.model_copy(update={"geometry": (ResizeShortestEdge(size=512, max_size=2048), Pad(multiple_of=32))})
    with pytest.raises(Exception, match="name it, as in static-512x1024"):
        resolve(OWN, spec, SizeRule())


def test_an_engine_is_built_of_the_graph_that_its_passes_make(tmp_path: Path) -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.PReLU(4), nn.Conv2d(4, 2, 1))
    spec = {"classes": ["a", "b"], "normalization": {"std": [255.0] * 3}}
    package = export_module(module, spec, tmp_path / "out", "onnxruntime_dynamic")
    model = onnx.load(package.path / "model.onnx")
    assert [node.op_type for node in model.graph.node] == ["Conv", "Mul", "Max", "Conv"]
