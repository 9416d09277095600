from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import language_checks
import language_pages
import language_tools
from make_spec import write_pnm

PACKAGE = next(
    package
    for package in json.loads((language_checks.VECTORS / "index.json").read_text(encoding="utf-8"))["packages"]
    if package["name"] == "whole"
)
MASK = language_checks.VECTORS / PACKAGE["mask"]["file"]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(language_checks, "PLACE", tmp_path)
    monkeypatch.setattr(language_tools, "PLACE", tmp_path)
    return tmp_path


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_mask_is_read_as_it_is_written(dtype: type, tmp_path: Path) -> None:
    labels = np.arange(12, dtype=dtype).reshape(3, 4) * 20
    write_pnm(tmp_path / "mask.pgm", labels)
    np.testing.assert_array_equal(language_checks.read_mask(tmp_path / "mask.pgm"), labels)


@pytest.mark.parametrize("name", language_pages.PROGRAMS)
def test_each_page_tells_how_its_program_is_built_and_run(name: str) -> None:
    file, kind = language_pages.PROGRAMS[name]
    assert "package" in language_pages.block(name, kind)
    assert file in language_pages.block(name, "bash")


def test_a_program_that_no_page_shows_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"^c.md has no block of cobol$"):
        language_pages.block("c", "cobol")


@pytest.mark.parametrize(
    ("script", "cell"),
    [
        (f'cp {MASK} "$3"', "equal"),
        (f'head -c -1 {MASK} > "$3"; printf "\\377" >> "$3"', "1 pixel"),
        ("echo error: broken >&2; exit 2", "status 2: error: broken"),
    ],
)
def test_a_program_is_compared_pixel_by_pixel(script: str, cell: str, place: Path) -> None:
    language_tools.program("fake", "sh", "-c", script, "fake")
    masks_alone = {key: value for key, value in PACKAGE.items() if key != "scores"}
    assert language_checks.compared("fake", masks_alone, place) == cell


def test_scores_are_compared_within_the_vectors_tolerance(tmp_path: Path) -> None:
    entry = PACKAGE["scores"]
    scores = np.fromfile(language_checks.VECTORS / entry["file"], "<f4").reshape(entry["shape"])
    whole = np.repeat(scores, entry["every"], axis=1)[:, : 61 * 83]
    whole.tofile(tmp_path / "scores.raw")
    assert language_checks._compared_scores(tmp_path / "scores.raw", entry) == "equal"
    (whole + np.float32(1e-5)).tofile(tmp_path / "scores.raw")
    assert language_checks._compared_scores(tmp_path / "scores.raw", entry) == "scores by 1.0e-05"


def test_a_program_keeps_the_variables_that_are_set(place: Path) -> None:  # noqa: ARG001
    language_tools.program("fake", "sh", "-c", 'echo "$SEGSHIP_ONNXRUNTIME" >&2; exit 2', "fake")
    assert language_checks.call("fake", SEGSHIP_ONNXRUNTIME="/elsewhere").told == "/elsewhere"
    assert language_checks.call("fake").told.endswith("onnxruntime/capi")


@pytest.mark.skipif(
    not list(language_checks.NATIVE.glob("libsegship.so.*")), reason="the library is built by make languages"
)
def test_every_mistake_has_pythons_message(tmp_path: Path) -> None:
    found = language_checks.mistakes(tmp_path)
    assert {kind for kind, (_, _, told) in found.items() if told is None} == {"another engine", "no ONNX Runtime"}
    assert all(told is None or "\n" not in told for _, _, told in found.values())
