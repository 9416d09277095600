"""The host kernels' instructions, counted by callgrind: no other work on the machine changes them."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RECORD = Path(__file__).with_name("instructions.json")
WRITE = "SEGSHIP_WRITE_INSTRUCTIONS"
SAME, OTHER = 0.05, 0.5  # tolerated with the compiler of the record, and with any other
VALGRIND = shutil.which("valgrind") or ""
COMPILER = shutil.which("c++") or ""


@pytest.fixture(scope="module")
def program(native_build: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not VALGRIND:
        pytest.skip("counting instructions needs valgrind: apt-get install valgrind")
    path = tmp_path_factory.mktemp("kernels") / "kernels"
    source, include = ROOT / "benchmarks" / "kernels.cpp", ROOT / "native" / "include"
    library = (f"-L{native_build}", "-lsegship", f"-Wl,-rpath,{native_build}")
    command = [COMPILER, "-std=c++17", "-O1", f"-I{include}", str(source), "-o", str(path), *library]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert not done.returncode, done.stderr
    return path


def compiler() -> str:
    done = subprocess.run([COMPILER, "--version"], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[0]


def count(program: Path, kernel: str, times: int) -> int:
    command = [VALGRIND, "--tool=callgrind", "--callgrind-out-file=/dev/null", str(program), kernel, str(times)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert not done.returncode, done.stderr
    found = re.search(r"Collected : (\d+)", done.stderr)
    assert found, done.stderr
    return int(found[1])


@pytest.mark.parametrize("kernel", ["prepare", "mask", "scores"])
def test_a_kernel_takes_no_more_instructions_than_it_did(program: Path, kernel: str) -> None:
    record = json.loads(RECORD.read_text()) if RECORD.is_file() else {}
    taken = count(program, kernel, 2) - count(program, kernel, 1)  # without what starting takes
    if WRITE in os.environ:
        record |= {"compiler": compiler(), kernel: taken}
        RECORD.write_text(json.dumps(record, indent=2, sort_keys=True) + "\n")
    tolerated = SAME if record["compiler"] == compiler() else OTHER
    known = record[kernel]
    assert taken <= known * (1 + tolerated), f"{kernel}: {taken} instructions, {known} before: slower code"
    assert taken >= known * (1 - tolerated), f"{kernel}: {taken} instructions, {known} before: record it ({WRITE}=1)"
