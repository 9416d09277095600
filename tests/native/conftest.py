"""The native library, built once and kept in build/native."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support.native import Library

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
BUILD = ROOT / "build" / "native"


def build() -> Path:
    """Return the folder of the built library; ``SEGSHIP_NATIVE_BUILD`` names one that is there already."""
    if "SEGSHIP_NATIVE_BUILD" in os.environ:
        return Path(os.environ["SEGSHIP_NATIVE_BUILD"])
    if shutil.which("cmake") is None or shutil.which("c++") is None:
        pytest.skip("building the native library needs cmake and a C++ compiler")
    BUILD.mkdir(parents=True, exist_ok=True)
    with (BUILD / "lock").open("w") as lock:  # several test processes begin at once
        fcntl.flock(lock, fcntl.LOCK_EX)
        for command in (["-S", str(ROOT / "native"), "-B", str(BUILD)], ["--build", str(BUILD), "-j", "2"]):
            done = subprocess.run(["cmake", *command], capture_output=True, text=True, check=False)
            assert not done.returncode, done.stdout + done.stderr
    return BUILD


@pytest.fixture(scope="session")
def native_build() -> Iterator[Path]:
    """Folder of the built library."""
    yield build()


@pytest.fixture(scope="session")
def library(native_build: Path) -> Library:
    """The built library, loaded."""
    return Library(native_build / "libsegship.so")
