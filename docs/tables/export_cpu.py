"""CPU seconds of exports, each a process of its own, of this checkout and of an earlier one, in turn.

The folders are those of ``SEGSHIP_RECORDINGS`` (docs/tables/sources.py); user and system time of the process are added
up, with one thread::

    python docs/tables/export_cpu.py --before OTHER-CHECKOUT [NAME ...] [--runs 2] [--write]

A row is written as soon as it is there; rows of other names stay.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
from sources import PAGE, with_weights  # the page, and folders whose weights are made

ROOT = HERE.parents[1]
BEGIN, END = "<!-- cpu: begin -->", "<!-- cpu: end -->"
HEAD = ("| network | before, s | now, s | ratio |", "|---|---:|---:|---:|")
FRAMEWORKS = ("huggingface", "smp")


_FACTORY = """import json, pathlib
import segmentation_models_pytorch as smp

FOLDER = pathlib.Path({folder!r})


def make():
    network = smp.from_pretrained(str(FOLDER), encoder_weights=None).eval()
    channels = json.loads((FOLDER / "config.json").read_text())["in_channels"]
    numbers = {{"mean": [0.5] * channels, "std": [0.25] * channels, "max_pixel_value": 255}}
    sizes = {{"multiple_of": 32, "minimum": [128, 128]}}
    classes = max(network.segmentation_head[0].out_channels, 2)  # one channel is a sigmoid's: two classes
    return network, {{"classes": classes, "normalization": numbers, "sizes": sizes}}
"""


def arguments(checkout: Path, source: Path, scratch: Path) -> list[str]:
    """What is exported: the folder; by code that does not know smp's, a function that makes the same network."""
    knows = (checkout / "src" / "segship" / "sources" / "smp").is_dir()
    if source.parent.name != "smp" or knows:
        return [str(source), *(["--normalize", "unit"] if "bands" in source.name else [])]
    (scratch / "made_by_smp.py").write_text(_FACTORY.format(folder=str(source)), encoding="utf-8")
    return ["--source", "python", "python:made_by_smp:make", "--trust"]


def exported(checkout: Path, source: Path, scratch: Path) -> float | None:
    """CPU seconds of one export by the code of a checkout; None: it is refused."""
    path = os.pathsep.join([str(checkout / "src"), str(scratch)])
    environment = os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    out = scratch / "package"
    shutil.rmtree(out, ignore_errors=True)
    command = [sys.executable, "-m", "segship", "export", *arguments(checkout, source, scratch), str(out)]
    with (scratch / "log.txt").open("w", encoding="utf-8") as log:
        process = subprocess.Popen(command, cwd=checkout, env=environment, stdout=log, stderr=log)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        print(f"  {checkout.name}: {(scratch / 'log.txt').read_text(encoding='utf-8').splitlines()[-1]:.160}")
    return None if process.returncode else usage.ru_utime + usage.ru_stime


def row(name: str, source: Path, before: Path, runs: int) -> str:
    """The row of one network: the median of each checkout's exports, which alternate."""
    seconds: dict[Path, list[float]] = {before: [], ROOT: []}
    with tempfile.TemporaryDirectory() as scratch:
        for _ in range(runs):
            for checkout, found in seconds.items():
                one = exported(checkout, source, Path(scratch))
                found.extend([] if one is None else [one])
    old, new = (median(found) if found else None for found in seconds.values())
    numbers = ["refused" if one is None else f"{one:.1f}" for one in (old, new)]
    ratio = "" if old is None or new is None else f"{new / old:.2f}"
    return f"| {name} | {numbers[0]} | {numbers[1]} | {ratio} |"


def networks(scratch: Path, names: list[str]) -> list[tuple[str, Path, int]]:
    """Names, folders and sizes in bytes of what was recorded, the smallest first."""
    found = []
    for framework in FRAMEWORKS:
        folder = Path(os.environ.get("SEGSHIP_RECORDINGS", "recordings")) / framework
        entries: list[dict[str, Any]] = json.loads((folder / "index.json").read_text(encoding="utf-8"))
        for entry in entries:
            if not names or entry["folder"] in names:
                whole = folder / entry["folder"]
                if framework == "smp":
                    whole = with_weights(whole, entry, scratch / "smp" / entry["folder"])
                size = sum(file.stat().st_size for file in whole.iterdir())
                found.append((f"{framework}: {entry['folder']}", whole, size))
    return sorted(found, key=lambda each: each[2])


def write(rows: dict[str, str]) -> None:
    """Put rows into the page, in place of those of the same names."""
    text = PAGE.read_text(encoding="utf-8")
    head, rest = text.split(BEGIN)
    old, tail = rest.split(END)
    kept = {line.split("|")[1].strip(): line for line in old.splitlines()[3:] if line.startswith("|")}
    PAGE.write_text(
        f"{head}{BEGIN}\n" + "\n".join([*HEAD, *(kept | rows).values()]) + f"\n{END}{tail}", encoding="utf-8"
    )


def main() -> None:
    """Measure one network after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="folders of the recordings; without, all")
    parser.add_argument("--before", type=Path, required=True, help="a checkout of an earlier commit")
    parser.add_argument("--runs", type=int, default=2, help="exports by each checkout (default: 2)")
    parser.add_argument("--write", action="store_true", help="put the rows into docs/tables/sources.md")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        for name, source, _ in networks(Path(scratch), options.names):
            found = row(name, source, options.before.resolve(), options.runs)
            print(found, flush=True)
            if options.write:
                write({name: found})


if __name__ == "__main__":
    main()
