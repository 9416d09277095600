"""What networks of others return: probabilities, labels and channels last are seen, whatever form the network has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import openvino as ov
import pytest
import torch
from onnx import TensorProto

import segship
from segship.core.errors import ConfigError, SegshipError, UnsupportedError
from segship.core.files import DEMO
from segship.networks.session import EagerSession
from segship.runtime.pipeline import Pipeline
from segship.sources import Source
from segship.sources.python import load_module
from support.colours import CLASSES, FLAG, Colours, node, value, write_onnx

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from segship.sources import Loaded

DYNAMIC = ("N", 3, "H", "W")
ONE = ("N", 1, "H", "W")
LABELS = FLAG.argmax(2)[1:-1, 1:-1]
GREEN = LABELS == 1
RED = (10, 5)  # a pixel of the red stripe
LOGIT = {"hundred": np.float32(100), "scale": np.float32(0.02), "first": [1], "last": [2], "axis": [1]}
LOGIT_NODES = (
    node("Slice", "y first last axis", "green"),
    node("Sub", "green hundred", "over"),
    node("Mul", "over scale", "logit"),
)


def green(logits: Tensor) -> Tensor:
    return 0.02 * (logits[:, 1:2] - 100)


def sigmoid(value: float) -> float:
    return 1 / (1 + np.exp(-value))


def eager(loaded: Loaded) -> Pipeline:
    """The network itself, as a package would run it."""
    return Pipeline(EagerSession(loaded.network), loaded.spec, loaded.network.sizes)


def mask(network: Pipeline | segship.Segmentor) -> Any:
    """Labels without the outermost pixels, where the mean is darker."""
    found = network.labels(FLAG, "rgb") if isinstance(network, Pipeline) else network(FLAG)
    return found[1:-1, 1:-1]


def onnx_source(path: Path, classes: list[str] | int = 3, **said: Any) -> Source:
    return Source(path, spec={"classes": classes, "normalization": "none"} | said)


def ir_source(path: Path, classes: list[str] | int = 3, **said: Any) -> Source:
    ov.save_model(ov.convert_model(path), path.with_suffix(".xml"), compress_to_fp16=False)
    return Source(path.with_suffix(".xml"), spec={"classes": classes, "normalization": "none"} | said)


def one_probability(path: Path) -> Path:
    after = (*LOGIT_NODES, node("Sigmoid", "logit", "q"))
    return write_onnx(path, *after, output=value("q", *ONE), **LOGIT)


def three_probabilities(path: Path) -> Path:
    after = (node("Mul", "y scale", "z"), node("Softmax", "z", "q", axis=1))
    return write_onnx(path, *after, output=value("q", *DYNAMIC), **LOGIT)


FORMS = pytest.mark.parametrize("form", ["onnx", "openvino", "torch"])
HALF = pytest.mark.parametrize("threshold", [0.5, 0.9, 0.15])


def loaded_as(form: str, path: Path, classes: int, module: Any, **said: Any) -> Loaded:
    if form == "torch":
        return load_module(Colours(module), {"classes": classes, "normalization": "none"} | said)
    return (ir_source if form == "openvino" else onnx_source)(path, classes, **said).load()


@HALF
@FORMS
def test_a_sigmoid_inside_is_not_applied_again(form: str, threshold: float, tmp_path: Path) -> None:
    path = one_probability(tmp_path / "a.onnx")
    loaded = loaded_as(form, path, 2, lambda y: green(y).sigmoid(), threshold=threshold)
    assert (loaded.spec.output, loaded.spec.returns) == ("sigmoid", "probabilities")
    # Of green 0.881, of the other colours 0.198.
    expected = {0.5: GREEN, 0.9: np.zeros_like(GREEN), 0.15: np.ones_like(GREEN)}[threshold]
    np.testing.assert_array_equal(mask(eager(loaded)), expected)
    chance = eager(loaded).scores(FLAG, "rgb")[0][RED]
    assert chance == pytest.approx(sigmoid(0.02 * (30 - 100)), abs=1e-4)


@FORMS
def test_a_softmax_inside_is_not_applied_again(form: str, tmp_path: Path) -> None:
    loaded = loaded_as(form, three_probabilities(tmp_path / "a.onnx"), 3, lambda y: (0.02 * y).softmax(1))
    assert loaded.spec.returns == "probabilities"
    np.testing.assert_array_equal(mask(eager(loaded)), LABELS)
    expected = np.exp(0.02 * FLAG[RED].astype(float))
    found = eager(loaded).scores(FLAG, "rgb")[:, RED[0], RED[1]]
    np.testing.assert_allclose(found, expected / expected.sum(), atol=1e-4)


@pytest.mark.parametrize("embed", ["", "pre,post"])
def test_a_package_compares_the_probability_once(embed: str, tmp_path: Path) -> None:
    source = onnx_source(one_probability(tmp_path / "a.onnx"), 2)
    segmentor = segship.Segmentor(segship.export(source, tmp_path / "package", embed=embed or ()))
    assert segmentor.spec.returns == "probabilities"
    np.testing.assert_array_equal(mask(segmentor), GREEN)
    if not embed:
        assert segmentor.scores(FLAG)[0][RED] == pytest.approx(0.1978, abs=1e-4)


def scores_of(after: Any, **said: Any) -> Loaded:
    return load_module(Colours(after), {"normalization": "none"} | said)


@pytest.mark.parametrize(
    ("after", "returns"),
    [
        (lambda y: 1 / (1 + torch.exp(-green(y))), "probabilities"),
        (lambda y: (green(y).tanh() + 1) / 2, "probabilities"),
        (lambda y: (y / 100 - 0.2).clamp(0, 1), "probabilities"),
        (lambda y: 1 - green(y).sigmoid(), "probabilities"),
        (lambda y: torch.cat([green(y).sigmoid(), 1 - green(y).sigmoid()], 1), "probabilities"),
        (lambda y: torch.nn.functional.interpolate(y.softmax(1), scale_factor=0.5, mode="bilinear"), "probabilities"),
        (torch.nn.functional.hardsigmoid, "probabilities"),
        (lambda y: {"out": y.sigmoid().half().float()}, "probabilities"),
        (lambda y: (0.01 * y).log_softmax(1), "logits"),
        (lambda y: y * y.sigmoid(), "logits"),
        (lambda y: y.sigmoid().log(), "logits"),
        (lambda y: y.sigmoid() * 3, "logits"),
        (lambda y: y, "logits"),
    ],
)
def test_the_last_operators_tell_what_is_a_probability(after: Any, returns: str) -> None:
    loaded = scores_of(after)
    assert loaded.spec.returns == returns
    assert not any("Assumed" in note for note in loaded.notes)


def test_values_alone_are_an_assumption_that_is_told() -> None:
    def normalised(y: Tensor) -> Tensor:
        weights = (0.01 * y).exp()
        return weights / weights.sum(1, keepdim=True)

    loaded = scores_of(normalised)
    assert loaded.spec.returns == "probabilities"
    assert any("sums to 1 at every pixel of the probe images" in note for note in loaded.notes)
    told = loaded.provenance.assumptions(loaded.spec)
    assert any("output softmax, of probabilities (what it returns sums to 1" in each for each in told), told
    assert scores_of(normalised, returns="logits").spec.returns == "logits"


def test_logits_that_happen_to_lie_in_0_to_1_are_not_mistaken_without_a_word() -> None:
    several = scores_of(lambda y: 0.001 * y + 0.1)
    assert several.spec.returns == "logits"
    assert any("lies in 0-1 on the probe images" in note for note in several.notes)
    with pytest.raises(ConfigError, match=r"nothing in it tells whether they .*returns=probabilities"):
        scores_of(lambda y: 0.001 * y[:, 1:2] + 0.1)
    for returns in ("logits", "probabilities"):
        assert scores_of(lambda y: 0.001 * y[:, 1:2] + 0.1, returns=returns).spec.returns == returns
    with pytest.raises(ConfigError, match="values outside 0-1, which are no probabilities"):
        scores_of(lambda y: y, returns="probabilities")


@pytest.mark.parametrize("keep", [0, 1])
@pytest.mark.parametrize("kind", [TensorProto.FLOAT, TensorProto.INT64, TensorProto.UINT8])
def test_labels_of_any_type_and_shape_are_labels(kind: int, keep: int, tmp_path: Path) -> None:
    after = (node("ArgMax", "y", "long", axis=1, keepdims=keep), node("Cast", "long", "l", to=kind))
    shape = ("N", 1, "H", "W") if keep else ("N", "H", "W")
    path = write_onnx(tmp_path / "a.onnx", *after, output=value("l", *shape, kind=kind))
    loaded = onnx_source(path).load()
    assert loaded.spec.returns == "labels"
    np.testing.assert_array_equal(mask(eager(loaded)), LABELS)
    with pytest.raises(UnsupportedError, match="this network returns labels, of which no scores are known"):
        eager(loaded).scores(FLAG, "rgb")
    with pytest.raises(ConfigError, match="returns labels, so the number of classes must be told"):
        Source(path, normalize="none").load()
    with pytest.raises(ConfigError, match="returns the labels 0 to 2, but 2 classes are described"):
        onnx_source(path, 2).load()


@pytest.mark.parametrize("keep", [False, True])
def test_labels_of_a_module_are_labels(keep: bool) -> None:
    np.testing.assert_array_equal(mask(eager(scores_of(lambda y: y.argmax(1, keepdim=keep), classes=3))), LABELS)
    with pytest.raises(ConfigError, match="number of classes must be told"):
        scores_of(lambda y: y.max(1, keepdim=keep)[1].float())


def test_a_decision_of_two_classes_is_labels(tmp_path: Path) -> None:
    module = Colours(lambda y: (y[:, 1:2] > 100).float())
    package = segship.export_module(module, None, tmp_path / "package", normalize="none")
    np.testing.assert_array_equal(mask(segship.Segmentor(package)), GREEN)
    with pytest.raises(UnsupportedError, match="no scores are known"):
        segship.predict(package, DEMO / "images", tmp_path / "masks", scores=True)
    assert not (tmp_path / "masks").exists()
    loaded = scores_of(lambda y: (y[:, 1:2] > 100).float())
    assert (loaded.spec.returns, loaded.spec.output, len(loaded.spec.classes)) == ("labels", "softmax", 2)
    assert loaded.network.logits(torch.zeros(1, 3, 4, 4))[0, :, 0, 0].tolist() == [1, 0]


def test_whole_numbers_by_their_values_alone_are_an_assumption() -> None:
    def found(y: Tensor) -> Tensor:
        return torch.cumsum((y[:, 1:2] > 100).float(), 1)  # an operator that nothing is known of

    loaded = scores_of(found, classes=2)
    assert loaded.spec.returns == "labels"
    assert any("whole numbers for the probe images" in note for note in loaded.notes)


IN = node("Transpose", "image", "x", perm=[0, 3, 1, 2])
OUT = node("Transpose", "y", "scores", perm=[0, 2, 3, 1])


@pytest.mark.parametrize("shape", [("N", "H", "W", 3), (1, 48, 60, 3)], ids=["free", "static"])
@pytest.mark.parametrize("ends", ["in", "out", "both"])
@pytest.mark.parametrize("form", ["onnx", "openvino"])
def test_channels_last_are_transposed_at_either_end(
    shape: tuple[Any, ...], ends: str, form: str, tmp_path: Path
) -> None:
    batch, height, width, _ = shape
    first = (batch, 3, height, width)
    path = write_onnx(
        tmp_path / "a.onnx",
        *((OUT,) if ends != "in" else ()),
        before=(IN,) if ends != "out" else (),
        image=value("image", *shape) if ends != "out" else value("x", *first),
        output=value("scores", *shape) if ends != "in" else value("y", *first),
    )
    loaded = (ir_source if form == "openvino" else onnx_source)(path).load()
    np.testing.assert_array_equal(mask(eager(loaded)), LABELS)
    told = " ".join(loaded.notes)
    assert ("a transpose was put before it" in told) == (ends != "out")
    assert ("a transpose was put after it" in told) == (ends != "in")


def test_one_channel_that_is_last_is_the_score_of_one_class(tmp_path: Path) -> None:
    last = node("Transpose", "logit", "q", perm=[0, 2, 3, 1])
    path = write_onnx(tmp_path / "a.onnx", *LOGIT_NODES, last, output=value("q", "N", "H", "W", 1), **LOGIT)
    np.testing.assert_array_equal(mask(eager(onnx_source(path, 2).load())), GREEN)


@pytest.mark.parametrize("target", ["onnxruntime_dynamic", "openvino_dynamic"])
def test_packages_of_networks_with_channels_last_take_any_size(target: str, tmp_path: Path) -> None:
    path = write_onnx(
        tmp_path / "a.onnx", OUT, before=(IN,), image=value("image", "N", "H", "W", 3),
        output=value("scores", "N", "H", "W", 3),
    )  # fmt: skip
    source = ir_source(path) if target.startswith("openvino") else onnx_source(path)
    package = segship.export(source, tmp_path / "package", target=target)
    assert len({check.input[2:] for check in package.manifest.checks}) > 1
    np.testing.assert_array_equal(mask(segship.Segmentor(package)), LABELS)


def test_a_module_may_return_its_channels_last() -> None:
    loaded = scores_of(lambda y: y.permute(0, 2, 3, 1))
    np.testing.assert_array_equal(mask(eager(loaded)), LABELS)
    assert any("a transpose was put after it" in note for note in loaded.notes)


def test_a_program_may_take_its_channels_last(tmp_path: Path) -> None:
    class Last(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.colours = Colours(lambda y: y)

        def forward(self, image: Tensor) -> Tensor:
            found: Tensor = self.colours(image.permute(0, 3, 1, 2))
            return found

    torch.export.save(torch.export.export(Last().eval(), (torch.zeros(1, 48, 60, 3),)), tmp_path / "a.pt2")
    source = Source(tmp_path / "a.pt2", spec={"classes": CLASSES, "normalization": "none"}, trust=True)
    np.testing.assert_array_equal(mask(eager(source.load())), LABELS)


def test_what_the_runtime_refuses_is_one_short_line(tmp_path: Path) -> None:
    path = write_onnx(tmp_path / "a.onnx")
    model = onnx.load(path)
    model.ir_version = 99
    onnx.save(model, path)
    refusals = [told(path)]
    model.ir_version = 9
    model.opset_import[0].version = 99
    onnx.save(model, path)
    refusals.append(told(path))
    frozen = node("Reshape", "y shape", "z")
    refusals.append(told(write_onnx(path, frozen, output=value("z", *DYNAMIC), shape=np.array([-1, 3, 48, 60]))))
    assert "IR version 99" in refusals[0]
    assert "opset 99" in refusals[1]
    assert all("pip install -U onnxruntime" in each for each in refusals[:2])
    assert "Reshape fails: The input tensor cannot be reshaped" in refusals[2]
    assert "sizes: {fixed: [512, 512]}" in refusals[2]
    assert not any("::" in each or "/onnxruntime" in each or "\n" in each or len(each) > 450 for each in refusals)
    right = Source(path, spec={"normalization": "none", "sizes": {"fixed": [48, 60]}})
    assert right.load().network.sizes.fixed == (48, 60)


def told(path: Path) -> str:
    with pytest.raises(SegshipError) as caught:
        Source(path, normalize="none").load()
    return str(caught.value)


def test_a_module_that_fails_at_small_sizes_says_how_to_name_the_least(tmp_path: Path) -> None:
    def after(y: Tensor) -> Tensor:
        if y.shape[-1] < 200:
            raise RuntimeError("Given input size: (1x2x1). Output size is too small")
        return y

    with pytest.raises(SegshipError, match=r"1x3x\d+x\d+: RuntimeError: .*too small.*sizes: \{minimum: \[256, 256\]\}"):
        segship.export_module(Colours(after), None, tmp_path / "package", normalize="none")
