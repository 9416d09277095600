"""The quick way to ``segship predict``: what it reads is what typer reads, and the rest is left to typer."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from segship.cli import predict as command
from segship.cli.app import app
from segship.cli.predicting import read_arguments

FORMS = [
    "p a.png --to out", "--to out p a.png b.png", "p --to=out a.png --opacity 0.25", "p a --to o --scores --no-overlay",
    "p a --to o --overlay --resume --trust --threads 3", "p a --to o --device cuda:0 --classes road,sky",
    "p a --to o --max-pixels=7 --no-overlay --overlay", "p a --to o --to last", "p a --to o --opacity 1",
    "p a --to o --no-cache", "p a --to o --format coco", "p a --to o --legend --contours",
]  # fmt: skip
LEFT_TO_TYPER = [
    "", "p", "p a", "p --to o", "--help", "p a --to", "p a --to o --threads 0", "p a --to o --threads x",
    "p a --to o --opacity 2", "p a --to o --opacity nan", "p a --to o --nothing", "p a --to o -v", "-q p a --to o",
    "p a --to o --layout cityscapes", "p a --to -x", "-- p a --to o", "p a --to o --device=", "p a --to o --trust=1",
    "p a --to o --max_pixels 3", "p a --to o --tta flip", "p a --to o --format bmp",
]  # fmt: skip


@pytest.mark.parametrize("text", FORMS)
def test_what_is_read_is_what_typer_reads(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[dict[str, Any]] = []
    names = ("package", "images", "to")

    def keep(*places: Any, **options: Any) -> int:
        read.append(dict(zip(names, places, strict=True)) | options)
        return 0

    monkeypatch.setattr(command, "predict_images", keep)
    app(["predict", *text.split()], standalone_mode=False)
    found = read_arguments(["predict", *text.split()])
    assert found is not None
    defaults = {"opacity": 0.5, "scores": False, "overlay": True, "resume": False, "device": None, "threads": None}
    defaults |= {"classes": None, "trust": False, "max_pixels": 100_000_000, "cache": True}
    defaults |= {"confidence": None, "raw_scores": False, "reject": None, "form": "png", "ray": None}
    defaults |= {"legend": False, "contours": False, "palette": "package"}
    assert defaults | found | {"tta": None, "scene": None} == read[0]


@pytest.mark.parametrize("text", LEFT_TO_TYPER)
def test_the_rest_is_left_to_typer(text: str) -> None:
    assert read_arguments(["predict", *text.split()]) is None


def test_other_commands_and_completion_are_typers(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_arguments(["info", "p"]) is None
    assert read_arguments([]) is None
    monkeypatch.setenv("_SEGSHIP_COMPLETE", "complete_bash")
    assert read_arguments(["predict", "p", "a", "--to", "o"]) is None


def test_a_mask_is_made_without_what_only_rasters_videos_and_others_formats_need(package: Path, street: Path) -> None:
    left = "typer pydantic rich tempfile PIL segship.formats.mmdeploy segship.datasets segship.rasters.canvas"
    left += "".join(
        f" segship.formats.masks.{name}" for name in ("coco", "cvat", "geojson", "labelstudio", "rle", "yolo")
    )
    code = f"from segship.cli import main; import sys; sys.modules |= dict.fromkeys({left.split()}); main()"
    out = package.parent / "quick"
    done = subprocess.run(
        [sys.executable, "-c", code, "predict", package, next(street.iterdir()), "--to", out],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert len(list(out.glob("*.png"))) == 1


def test_predict_starts_without_typer_and_pydantic(tmp_path: Path) -> None:
    code = "import sys; sys.modules['typer'] = sys.modules['pydantic'] = None; from segship.cli import main; main()"
    command = [sys.executable, "-c", code, "predict", str(tmp_path / "nowhere"), "a.png", "--to", str(tmp_path / "o")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, f"error: {tmp_path / 'nowhere'} is not a package: no such directory\n")
