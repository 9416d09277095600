"""Fuzz the ten readers for some minutes, one after the other or several at a time.

::

    pip install atheris
    python fuzz/run.py --minutes 60 [--readers config,onnx] [--jobs 2] [--write]

Corpora grow below build/fuzz/corpus, so that a later run goes on where this one ended; inputs that were found lie below
build/fuzz/found. The status is their number.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from readers import HERE, READERS
from robustness import write_section

BUILD = HERE.parent / "build" / "fuzz"
_MEGABYTES = 2048  # of the process, which has some 700 to begin with
_LENGTHS = {"onnx": 8192, "checkpoint": 8192}
_EXECUTED = re.compile(r"stat::number_of_executed_units:\s+(\d+)")
_PROGRESS = re.compile(r"^#(\d+)\s", re.MULTILINE)


def corpus(reader: str) -> Path:
    """The folder of a reader's inputs; it begins with files that are right."""
    folder = BUILD / "corpus" / reader
    folder.mkdir(parents=True, exist_ok=True)
    code = f"import readers, sys; [sys.stdout.write(seed.hex() + '\\n') for seed in readers.seeds({reader!r})]"
    made = subprocess.run([sys.executable, "-c", code], cwd=HERE, capture_output=True, text=True, check=True)
    for line in made.stdout.split():
        data = bytes.fromhex(line)
        (folder / hashlib.sha1(data, usedforsecurity=False).hexdigest()).write_bytes(data)
    return folder


def fuzz(reader: str, seconds: float, most: int) -> int:
    """Fuzz one reader, again after each find; how many inputs were read, none of which may take ``most`` seconds."""
    inputs, executed, end = corpus(reader), 0, time.monotonic() + seconds
    found = BUILD / "found"
    found.mkdir(parents=True, exist_ok=True)
    while (left := int(end - time.monotonic())) > 0:
        command = [
            *(sys.executable, str(HERE / "target.py"), reader, f"-max_total_time={left}", f"-timeout={most}"),
            *(f"-rss_limit_mb={_MEGABYTES}", f"-max_len={_LENGTHS.get(reader, 2048)}", "-print_final_stats=1"),
            *(f"-artifact_prefix={found}/{reader}-", "-close_fd_mask=1", str(inputs)),
        ]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
        counts = _EXECUTED.findall(done.stderr) or _PROGRESS.findall(done.stderr)[-1:]
        executed += int(counts[-1]) if counts else 0
        if done.returncode:
            print(f"{reader}: " + " | ".join(done.stderr.splitlines()[-60:])[-1500:], flush=True)
            if not counts:
                break  # it does not even start
    print(f"{reader}: {executed} inputs", flush=True)
    return executed


def section(counts: dict[str, int], finds: int, given: argparse.Namespace) -> str:
    """The figures as Markdown."""
    every = {**counts, "**together**": sum(counts.values())}
    return "\n".join(
        [
            f"`python fuzz/run.py --minutes {given.minutes:g}` (`make fuzz`): inputs that coverage guides. A find is a crash, any",
            f"exception but an error of one line, more than {given.seconds} s for one input, or more than {_MEGABYTES} MB.",
            "",
            "| reader | inputs |",
            "|---|---:|",
            *(f"| {name} | {count:,} |".replace(",", " ") for name, count in every.items()),
            "",
            f"Finds: {finds}.",
        ]
    )


def main() -> int:
    """Fuzz; the number of finds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60, help="together, with one job")
    parser.add_argument("--readers", default=",".join(READERS), help="some of the readers, comma-separated")
    parser.add_argument("--jobs", type=int, default=1, help="readers at a time")
    parser.add_argument("--seconds", type=int, default=5, help="that one input may take; more on a busy machine")
    parser.add_argument("--write", action="store_true", help="into docs/tables/robustness.md")
    given = parser.parse_args()
    names = given.readers.split(",")
    before = set((BUILD / "found").glob("*"))
    with ThreadPoolExecutor(given.jobs) as pool:
        counts = dict(
            zip(
                names,
                pool.map(lambda name: fuzz(name, 60 * given.minutes / len(names), given.seconds), names),
                strict=True,
            )
        )
    finds = set((BUILD / "found").glob("*")) - before
    print(
        json.dumps(
            {"inputs": counts, "together": sum(counts.values()), "found": sorted(path.name for path in finds)}, indent=1
        )
    )
    if given.write:
        write_section("Fuzzing", section(counts, len(finds), given))
    return min(255, len(finds))


if __name__ == "__main__":
    sys.exit(main())
