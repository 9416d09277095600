"""The library as a file: what it exports, how large it is, how others find it."""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import segship
from support.native import NativeError

if TYPE_CHECKING:
    from support.native import Library

NATIVE = Path(__file__).parents[2] / "native"
HEADER = (NATIVE / "include" / "segship" / "segship.h").read_text()
DECLARED = set(re.findall(r"^SEGSHIP_API [^(]*?(segship_\w+)\(", HEADER, re.MULTILINE))


def run(*command: str | Path, **options: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | options)
    assert not done.returncode, done.stdout + done.stderr
    return done.stdout


def test_exactly_the_headers_functions_are_exported(native_build: Path) -> None:
    if shutil.which("nm") is None:
        pytest.skip("nm of binutils lists a library's symbols")
    lines = run("nm", "-D", "--defined-only", native_build / "libsegship.so").splitlines()
    assert {line.split()[-1] for line in lines} == DECLARED
    assert len(DECLARED) > 20


def test_the_library_is_below_a_megabyte(native_build: Path) -> None:
    assert (native_build / "libsegship.so").stat().st_size <= 2**20


def test_library_header_and_python_are_of_one_version(library: Library) -> None:
    major, minor, patch = (int(part) for part in re.findall(r"VERSION_(?:MAJOR|MINOR|PATCH) (\d+)", HEADER))
    assert library.c.segship_version() == 10000 * major + 100 * minor + patch
    assert segship.__version__.split(".")[:2] == [str(major), str(minor)]
    assert f"VERSION {major}.{minor}.{patch}" in (NATIVE / "CMakeLists.txt").read_text()


@pytest.mark.parametrize(
    ("version", "pointer", "message"),
    [
        (100 * 100, 8, "written for Segship 1.0 with pointers of 8 bytes, the library is 0.2 with pointers of 8 bytes"),
        (200, 4, "written for Segship 0.2 with pointers of 4 bytes, the library is 0.2 with pointers of 8 bytes"),
    ],
)
def test_a_program_of_another_kind_is_told(library: Library, version: int, pointer: int, message: str) -> None:
    library.call("require", 200, ctypes.sizeof(ctypes.c_void_p))
    with pytest.raises(NativeError, match=message) as caught:
        library.call("require", version, pointer)
    assert caught.value.kind == "unsupported"


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["segship", "static"])
def test_cmake_finds_what_is_installed(native_build: Path, tmp_path: Path, kind: str) -> None:
    run("cmake", "--build", native_build, "--target", "segship", "segship_static")
    run("cmake", "--install", native_build, "--prefix", tmp_path / "installed")
    (tmp_path / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.16)\nproject(user CXX)\nfind_package(segship 0.2 REQUIRED)\n"
        f"add_executable(user user.cpp)\ntarget_link_libraries(user segship::{kind})\n"
    )
    (tmp_path / "user.cpp").write_text(
        '#include <cstdio>\n#include <segship/segship.hpp>\nint main() {\n  try { segship::Segmentor("/nowhere"); }\n'
        "  catch (const segship::Exception &error) { std::puts(error.what()); }\n}\n"
    )
    run("cmake", "-S", tmp_path, "-B", tmp_path / "build", f"-DCMAKE_PREFIX_PATH={tmp_path / 'installed'}")
    run("cmake", "--build", tmp_path / "build")
    assert run(tmp_path / "build" / "user") == "/nowhere is not a package: no such directory\n"
