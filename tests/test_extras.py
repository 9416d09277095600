"""Whether each extra can be installed in a clean environment, and all of them in one."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from environments import AS_OF

PROJECT = Path(__file__).parents[1] / "pyproject.toml"
EXTRAS = sorted(tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]["optional-dependencies"])
pytestmark = pytest.mark.slow
# apache-tvm-ffi wants typing_extensions >= 4.13; xdsl, which litert-torch pins, one below it.
APART = ("litert", "tvm")
UNREACHABLE = ("Failed to fetch", "Could not connect", "dns error", "error sending request")


Resolve = Callable[..., dict[str, str]]


@pytest.fixture(scope="module")
def resolve(tmp_path_factory: pytest.TempPathFactory) -> Resolve:
    folder = tmp_path_factory.mktemp("resolve")
    return lambda extras, python="3.11": resolved(extras, python, folder)


def resolved(extras: list[str], python: str, folder: Path) -> dict[str, str]:
    """Name and version of everything that an installer would install."""
    uv = shutil.which("uv") or shutil.which("uv", path=str(Path(sys.executable).parent))
    if uv is None:
        pytest.skip("uv, which resolves without installing, is not here: pip install uv")
    out = folder / "resolved.txt"
    out.unlink(missing_ok=True)  # it would be taken for a preference
    chosen = [word for extra in extras for word in ("--extra", extra)]
    command = [uv, "pip", "compile", str(PROJECT), *chosen, "--python-version", python, "-q", "-o", str(out)]
    command += ["--exclude-newer", AS_OF]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    if any(sign in done.stderr for sign in UNREACHABLE):
        pytest.skip("no package index can be reached")
    assert done.returncode == 0, done.stderr
    lines = [line.split()[0] for line in out.read_text(encoding="utf-8").splitlines() if "==" in line]
    return dict(line.split("==") for line in lines if not line.startswith("#"))


def minor(version: str) -> tuple[int, int]:
    major, second, *_ = version.split(".")
    return int(major), int(second)


@pytest.mark.parametrize("extra", EXTRAS)
def test_each_extra_resolves_alone_and_with_the_torch_that_exporting_takes(extra: str, resolve: Resolve) -> None:
    found = resolve([extra])
    assert {"numpy", "onnxruntime"} <= found.keys()
    assert minor(found.get("torch", "2.9")) >= (2, 9)


@pytest.mark.parametrize("left_out", APART)
@pytest.mark.parametrize("python", ["3.11", "3.13"])
def test_all_extras_but_one_of_two_fit_into_one_environment(python: str, left_out: str, resolve: Resolve) -> None:
    found = resolve([extra for extra in EXTRAS if extra != left_out], python)
    assert {"torch", "nncf", "openvino", "ncnn", "executorch", "coremltools"} <= found.keys()
    assert ("litert-torch" in found, "apache-tvm" in found) == (left_out == "tvm", left_out == "litert")


def test_predicting_needs_no_torch(resolve: Resolve) -> None:
    assert "torch" not in resolve([])
