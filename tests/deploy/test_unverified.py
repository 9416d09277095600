from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from segship.core.artifacts import BackendInfo, Device, Engine
from segship.core.plan import Plan
from segship.core.spec import ModelSpec
from segship.core.target import Target
from segship.deploy import ship
from segship.deploy.ship import verify_engine

if TYPE_CHECKING:
    from segship.networks.network import Network


def _never() -> Network:
    pytest.fail("there is nothing that float64 could decide")


@pytest.mark.parametrize(
    ("elsewhere", "end"), [("", ""), ("on a phone, segship verify does it", ", and on a phone, segship verify does it")]
)
def test_an_engine_that_only_other_machines_run_counts_as_unverified(
    elsewhere: str, end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = BackendInfo("Phone", "onnx", ("fp32",), "", (), elsewhere=elsewhere)
    backend = SimpleNamespace(INFO=info, probe=lambda: (Device("npu", usable=False, note="this is no phone"),))
    spec = ModelSpec(source="mmseg", architecture="x", classes=("a", "b"), palette=((0, 0, 0), (1, 2, 3)))
    engine = Engine(Path(), ("model",), (), ())
    monkeypatch.setattr(ship, "find_backend", lambda _: backend)
    checks, failed = verify_engine(engine, [], Plan(spec=spec, target=Target(backend="onnxruntime")), _never)
    assert checks == ()
    reason = "the engine cannot be compared with the network here (this is no phone)"
    assert failed == [f"{reason}: only --allow-inexact writes it{end}"]
