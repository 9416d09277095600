from __future__ import annotations

import shutil
import warnings
from pathlib import Path

import pytest

from segship import Segmentor, SegshipWarning
from segship.core import processor as processors
from segship.core.manifest import Tuned, read_manifest
from segship.core.processor import Processor, processor
from segship.runtime.tuned import default_threads, tuned_elsewhere

HERE = Tuned(processor=processor(), processors=processors.processors(), threads=1, milliseconds=12.5)
OTHER = HERE.model_copy(update={"processor": Processor(name="Old", features=("AVX2",))})


def test_where_it_was_tuned_nothing_is_told() -> None:
    assert tuned_elsewhere(None) == tuned_elsewhere(HERE) == ""
    assert default_threads(HERE) == 1
    assert default_threads(None) is None


def test_another_machine_is_told_in_one_line_with_what_differs() -> None:
    told = tuned_elsewhere(OTHER)
    assert "Old (AVX2)" in told
    assert "\n" not in told
    engine = HERE.model_copy(update={"versions": {"onnxruntime": "0.1"}})
    assert "onnxruntime 0.1, here is" in tuned_elsewhere(engine)
    more = HERE.model_copy(update={"processors": HERE.processors + 6})
    assert f"{HERE.processors + 6} processors" in tuned_elsewhere(more)
    assert default_threads(more) is None


def test_features_are_read_from_the_flags() -> None:
    text = "processor : 0\nmodel name : X\nflags : fpu avx2 avx512f avx_vnni avx512_bf16 amx_tile\n"
    assert processors._from_linux(text) == Processor(name="X", features=("AVX2", "AVX-512", "VNNI", "bf16", "AMX"))
    arm = "processor : 0\nFeatures : fp asimd asimddp bf16 i8mm\n"
    assert processors._from_linux(arm).features == ("bf16", "NEON", "dot products", "int8 matrices")


@pytest.fixture
def package(tmp_path: Path) -> Path:
    source = Path(__file__).parents[2] / "spec" / "vectors" / "packages" / "whole"
    shutil.copytree(source, tmp_path / "package")
    return tmp_path / "package"


def test_a_segmentor_says_that_it_was_tuned_elsewhere(package: Path) -> None:
    manifest = read_manifest(package)
    manifest.model_copy(update={"tuned": OTHER}).write(package)
    assert read_manifest(package).tuned == OTHER
    with pytest.warns(SegshipWarning, match="tuned for another machine"):
        Segmentor(package).close()
    manifest.model_copy(update={"tuned": HERE}).write(package)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Segmentor(package).close()
