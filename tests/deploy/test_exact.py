"""fp32 that misses its gate: float64 decides, in favour of engines that are as near to it as PyTorch is."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import pytest
import torch
from torch import Tensor, nn

from segship import Segmentor
from segship.backends import find_backend
from segship.capture import CaptureOptions, capture
from segship.core.errors import VerificationError
from segship.core.plan import Plan
from segship.core.spec import ModelSpec
from segship.core.target import Target
from segship.deploy import export_module
from segship.deploy.ship import verify_engine
from segship.networks.exact import ExactSession
from segship.networks.session import EagerSession
from segship.networks.wrapped import WrappedNetwork
from segship.verification.inputs import TRACED, references
from support.commands import segship

if TYPE_CHECKING:
    from pathlib import Path

    from segship.core.manifest import Comparison

SPEC = ModelSpec(source="python", architecture="sharp", classes=("a", "b", "c"), palette=((0, 0, 0),) * 3)


class Sharp(nn.Module):
    """Waves of thousands of radians, in which what float32 rounds off becomes ``sharpness`` times as large."""

    def __init__(self, sharpness: float, *, align_corners: bool = False, single: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.features = nn.Conv2d(3, 32, 7, 2, 3)
        self.patterns = nn.Conv2d(32, 8, 3, padding=1)
        self.classes = nn.Conv2d(8, 3, 1)
        self.sharpness, self.align_corners, self.single = sharpness, align_corners, single

    def forward(self, image: Tensor) -> Tensor:
        waves = torch.sin(self.sharpness * self.patterns(torch.relu(self.features(image))))
        scores = self.classes(waves.to(torch.float32) if self.single else waves)
        size = image.shape[2] // 4, image.shape[3] // 4
        return nn.functional.interpolate(scores, size, mode="bilinear", align_corners=self.align_corners)


SHARP, BLUNT = 1000.0, 1.0


def held(network: nn.Module, exported: nn.Module, folder: Path) -> tuple[tuple[Comparison, ...], list[str]]:
    """The engine of ``exported`` against ``network``."""
    original = WrappedNetwork(network.eval(), 3)
    plan = Plan(spec=SPEC, target=Target(backend="onnxruntime"))
    graph = capture(WrappedNetwork(exported.eval(), 3), folder / "graph.onnx", CaptureOptions(TRACED, 3, dynamic=True))
    engine = find_backend("onnxruntime").convert(graph, plan.target, folder)
    expected = references(EagerSession(original), plan, [], batch=True)
    return verify_engine(engine, expected, plan, lambda: original)


def test_an_engine_as_near_to_float64_as_pytorch_is_passes(tmp_path: Path) -> None:
    checks, failed = held(Sharp(SHARP), Sharp(SHARP), tmp_path)
    assert failed == []
    decided = [check.exact for check in checks if check.exact is not None]
    assert decided
    assert all(each.network.labels_equal < 1 and each.network.mean_difference > 1e-5 for each in decided)


@pytest.mark.parametrize("sharpness", [SHARP, BLUNT])
def test_a_wrong_resize_is_refused_however_ill_conditioned_the_network_is(sharpness: float, tmp_path: Path) -> None:
    _, failed = held(Sharp(sharpness), Sharp(sharpness, align_corners=True), tmp_path)
    assert "PyTorch's own logits are off; logits differ on average by" in failed[0]


@pytest.mark.parametrize(("sharpness", "factor"), [(SHARP, 1.0001), (BLUNT, 1.01)])
def test_a_changed_weight_is_refused(sharpness: float, factor: float, tmp_path: Path) -> None:
    network = Sharp(sharpness)
    changed = copy.deepcopy(network)
    with torch.no_grad():
        changed.features.weight[3] *= factor
    _, failed = held(network, changed, tmp_path)
    assert failed


def test_float64_is_not_asked_where_the_gate_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ExactSession, "run", lambda *_: pytest.fail("float64 was asked"))
    checks, failed = held(Sharp(BLUNT), Sharp(BLUNT), tmp_path)
    assert failed == []
    assert all(check.exact is None for check in checks)


def test_float32_that_a_network_asks_for_by_name_is_float64_too() -> None:
    image = {"image": torch.rand(1, 3, 32, 48, generator=torch.Generator().manual_seed(1)).numpy()}
    found = [
        ExactSession(WrappedNetwork(Sharp(SHARP, single=single), 3)).run(image)["logits"] for single in (False, True)
    ]
    assert (found[0] == found[1]).all()
    assert torch.get_default_dtype() == torch.float32


class Twofold(Sharp):
    """A network that computes something else in float64, as those do that ask for the precision of their type."""

    def forward(self, image: Tensor) -> Tensor:
        scores = super().forward(image)
        return scores + 3e-3 * torch.sin(40 * scores) if scores.dtype == torch.float64 else scores


def test_a_network_that_does_something_else_in_float64_has_no_more_room_for_it(tmp_path: Path) -> None:
    network = Twofold(BLUNT)
    changed = copy.deepcopy(network)
    with torch.no_grad():
        changed.classes.bias[0] += 1e-3
    checks, failed = held(network, changed, tmp_path)
    assert failed
    found = next(check.exact for check in checks if check.exact is not None)
    assert found.engine.mean_difference > 1e-4
    assert found.network.mean_difference < 1e-5


class Single(Sharp):
    """A network that takes float32 alone."""

    def forward(self, image: Tensor) -> Tensor:
        return super().forward(torch.from_numpy(image.numpy().astype("float32")))


def test_a_network_without_float64_is_judged_as_ever_and_says_so(tmp_path: Path) -> None:
    checks, failed = held(Single(SHARP), Sharp(SHARP), tmp_path)
    assert all(check.exact is None for check in checks)
    assert "labels are equal (gate 99.99%)" in failed[0]
    assert "float64 could not decide, for the network does not run in it: " in failed[-1]


def test_export_manifest_and_info_say_what_decided(tmp_path: Path) -> None:
    package = export_module(Sharp(SHARP).eval(), SPEC, tmp_path / "package")
    decided = [check.exact for check in package.manifest.checks if check.exact is not None]
    assert decided
    assert package.manifest.failures == ()
    assert package.manifest.standing == "verified on the engine"
    Segmentor(package.path).close()
    told = segship("info", package.path).stdout
    assert f"float64 decided on scene at 1x3x129x161: {decided[0].in_words()}" in told


def test_below_the_gate_of_fp16_nothing_is_accepted(tmp_path: Path) -> None:
    with pytest.raises(VerificationError, match="are float64's"):
        export_module(Sharp(1e5).eval(), SPEC, tmp_path / "package")
