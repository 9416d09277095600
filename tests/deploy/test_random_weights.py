"""Networks without a checkpoint: refused, or marked wherever their package is told of."""

from __future__ import annotations

from pathlib import Path

import pytest

import segship
from segship.core.provenance import RANDOM_WEIGHTS
from support.commands import refused
from support.commands import segship as command
from support.trained import write_trained


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return write_trained(tmp_path)[0]


def test_a_forgotten_checkpoint_is_refused(config: Path, tmp_path: Path) -> None:
    with pytest.raises(segship.InputError, match=r"after small\.py comes its checkpoint"):
        segship.export(config, tmp_path / "out")
    assert "--random-weights" in refused(command("tools", "export-onnx", config, "--output-file", tmp_path / "a.onnx"))
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "a.onnx").exists()


def test_a_trial_says_that_its_weights_are_random(config: Path, tmp_path: Path) -> None:
    done = command("export", config, tmp_path / "out", "--random-weights")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().splitlines()[-2].endswith(f"for yours; {RANDOM_WEIGHTS}")  # then: what was assumed
    manifest = segship.Segmentor(tmp_path / "out").manifest
    assert manifest.provenance is not None
    assert manifest.provenance.random_weights
    assert any(RANDOM_WEIGHTS in note for note in manifest.notes)
    assert RANDOM_WEIGHTS in command("info", tmp_path / "out", torch=False).stdout
