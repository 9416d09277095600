from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from segship.core.artifacts import Device, Engine
from segship.core.plan import Plan
from segship.core.spec import ModelSpec
from segship.core.target import Target
from segship.deploy import ship
from segship.deploy.ship import verify_engine


def test_an_engine_that_only_other_machines_run_counts_as_unverified(monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = SimpleNamespace(probe=lambda: (Device("npu", usable=False, note="this is no phone"),))
    spec = ModelSpec(source="mmseg", architecture="x", classes=("a", "b"), palette=((0, 0, 0), (1, 2, 3)))
    engine = Engine(Path(), ("model",), (), ())
    monkeypatch.setattr(ship, "find_backend", lambda _: elsewhere)
    checks, failed = verify_engine(engine, [], Plan(spec=spec, target=Target(backend="onnxruntime")))
    assert checks == ()
    assert failed == [
        "the engine cannot be compared with the network here (this is no phone): only --allow-inexact writes it"
    ]
