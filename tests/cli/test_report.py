from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from support.commands import refused, segship


@pytest.fixture
def data(street: Path, tmp_path: Path) -> Path:
    for folder in ("images", "labels"):
        (tmp_path / "data" / folder).mkdir(parents=True)
    (tmp_path / "data" / "images" / "a.png").write_bytes((street / "street.png").read_bytes())
    cv2.imwrite(str(tmp_path / "data" / "labels" / "a.png"), np.full((77, 131), 2, np.uint8))
    return tmp_path / "data"


@pytest.mark.slow
def test_page_tables_and_the_reason_of_what_is_missing(trained: tuple[Path, Path], data: Path, tmp_path: Path) -> None:
    done = segship(
        *("report", *trained, "--targets", "onnxruntime_dynamic,nosuch_static-64x64", "--to", tmp_path / "out"),
        *("--dataset", "folder", data, "--duration", 0),
    )
    assert done.returncode == 0, done.stderr
    assert "warning: nosuch_static-64x64 left out: no backend is called 'nosuch'" in done.stderr
    for suffix in ("html", "md", "csv", "json"):
        assert "onnxruntime_dynamic" in (tmp_path / "out" / f"report.{suffix}").read_text()


def test_what_is_not_given_is_asked_for(trained: tuple[Path, Path], tmp_path: Path) -> None:
    options = ("report", *trained, "--targets", "onnxruntime_dynamic", "--to", tmp_path)
    assert "say what to evaluate on" in refused(segship(*options))
