"""The native library, built once and kept in build/native."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from support.native import Library

ROOT = Path(__file__).parents[2]
BUILD = ROOT / "build" / "native"
CMAKE = shutil.which("cmake") or ""


def build() -> Path:
    """Return the folder of the built library; ``SEGSHIP_NATIVE_BUILD`` names one that is there already."""
    if "SEGSHIP_NATIVE_BUILD" in os.environ:
        return Path(os.environ["SEGSHIP_NATIVE_BUILD"])
    if not CMAKE or shutil.which("c++") is None:
        pytest.skip("building the native library needs cmake and a C++ compiler")
    BUILD.mkdir(parents=True, exist_ok=True)
    with (BUILD / "lock").open("w") as lock:  # several test processes begin at once
        fcntl.flock(lock, fcntl.LOCK_EX)
        configure = ["-S", str(ROOT / "native"), "-B", str(BUILD)]
        for command in (configure, ["--build", str(BUILD), "-j", "2", "--target", "segship"]):
            done = subprocess.run([CMAKE, *command], capture_output=True, text=True, check=False)
            assert not done.returncode, done.stdout + done.stderr
    return BUILD


@pytest.fixture(scope="session")
def native_build() -> Path:
    """Folder of the built library."""
    return build()


@pytest.fixture(scope="session")
def library(native_build: Path) -> Library:
    """The built library, loaded."""
    return Library(native_build / "libsegship.so")
