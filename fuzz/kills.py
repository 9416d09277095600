"""Kill exports with -9 at random moments and at every file operation, over an older package; and run two at once.

::

    python fuzz/kills.py [--random 200] [--two 10] [--write]

After a kill the destination must hold a whole package, the older or the newer, at once or after the next command, and
nothing may be left beside it by then. The status is the number of times it did not.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "src")]

from inputs.manifests import plain
from robustness import write_section

_HEAD = (
    "`python fuzz/kills.py`: exports over an older package. *At once*: no whole package lies there, the older or the newer.",
    "*In the end*: after the next export there is none, or something is left beside it.",
    "",
    "| export | times | wrong at once | wrong in the end |",
    "|---|---:|---:|---:|",
)
_OPERATIONS = ("mkdir", "rename", "replace", "unlink", "rmdir", "link", "symlink", "chmod", "open")
_SPEC = {"classes": ["road", "wall", "sky"], "normalization": {"mean": [1, 2, 3], "std": [4, 5, 6]}}


def export(folder: Path, *, kill_at: int = 0) -> int:
    """Export in this process over ``folder / "package"``; -9 comes at the file operation of that number.

    Returns:
        How many file operations there were below ``folder``.
    """
    from segship import Source
    from segship import export as segship_export

    counted = 0

    def watch(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal counted
        name = event.removeprefix("os.")
        touches = name in _OPERATIONS and any(
            isinstance(each, (str, os.PathLike)) and str(folder) in str(each) for each in arguments
        )
        if touches or event == "ctypes.dlsym":  # the exchange of two folders is a call of the C library
            counted += 1
            if counted == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)
    segship_export(Source(folder / "m.onnx", spec=_SPEC), folder / "package")
    return counted


def child(folder: Path, kill_at: int = 0) -> int:
    """Start an export in a child; its process number."""
    process = os.fork()
    if process == 0:
        status = 1
        try:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, 2)
            count = export(folder, kill_at=kill_at)
            (folder / "count").write_text(str(count))
            status = 0
        finally:
            os._exit(status)
    return process


def prepared() -> Path:
    """A folder with a network and an older package of it."""
    folder = Path(tempfile.mkdtemp(prefix="segship-kills-"))
    (folder / "m.onnx").write_bytes(plain())
    if os.waitpid(child(folder), 0)[1]:
        raise RuntimeError("the export that is to be killed does not work")
    return folder


def is_whole(folder: Path) -> bool:
    """Whether a package is there that the reader takes, digests and all."""
    from segship.core.errors import SegshipError
    from segship.core.manifest import read_manifest

    try:
        read_manifest(folder / "package")
    except (SegshipError, OSError):
        return False
    return True


def litter(folder: Path) -> list[str]:
    """What lies beside the package that no export should leave."""
    return sorted(path.name for path in folder.iterdir() if path.name not in {"m.onnx", "package", "count"})


def after(folder: Path, title: str) -> tuple[int, int]:
    """Look at once, and after the next command; (1 if no package at once, 1 if anything is wrong in the end)."""
    at_once = is_whole(folder)
    done = os.waitpid(child(folder), 0)[1] == 0
    left = litter(folder)
    well = done and is_whole(folder) and not left
    if not well:
        print(
            f"{title}: next export {'works' if done else 'FAILS'}, whole {is_whole(folder)}, beside it {left}",
            flush=True,
        )
    return int(not at_once), int(not well)


def at_random(count: int) -> tuple[int, int]:
    """Kill at random moments of an export's time."""
    folder, dice = prepared(), random.Random(0)
    begin = time.monotonic()
    os.waitpid(child(folder), 0)
    whole = time.monotonic() - begin
    missing = wrong = killed = tried = 0
    while killed < count:
        tried += 1
        process = child(folder)
        time.sleep(dice.uniform(0, 1.05 * whole))
        os.kill(process, signal.SIGKILL)
        killed += os.waitpid(process, 0)[1] == signal.SIGKILL
        first, second = after(folder, f"random {tried}")
        missing, wrong = missing + first, wrong + second
    print(f"{count} kills at random moments: {missing} without a package at once, {wrong} in the end", flush=True)
    return missing, wrong


def at_every_operation() -> tuple[int, int, int]:
    """Kill at each file operation in turn; how many there are, and the two counts of `after`."""
    folder = prepared()
    count = int((folder / "count").read_text())
    missing = wrong = 0
    for number in range(1, count + 1):
        os.waitpid(child(folder, number), 0)
        first, second = after(folder, f"operation {number}")
        missing, wrong = missing + first, wrong + second
    print(f"{count} kills, one at every file operation: {missing} without a package at once, {wrong} in the end")
    return count, missing, wrong


def two_at_once(count: int) -> int:
    """Two exports to one destination."""
    folder, wrong = prepared(), 0
    for number in range(count):
        ends = [os.waitpid(process, 0)[1] for process in (child(folder), child(folder))]
        well = 0 in ends and is_whole(folder) and not litter(folder)
        wrong += not well
        if not well:
            print(f"two {number}: statuses {ends}, whole {is_whole(folder)}, beside it {litter(folder)}", flush=True)
    print(f"{count} times two exports at once: {wrong} without a winner, a whole package and a clean folder")
    return wrong


def main() -> int:
    """Run all three; the number of faults in the end."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--random", type=int, default=200)
    parser.add_argument("--two", type=int, default=10)
    parser.add_argument("--write", action="store_true", help="into docs/tables/robustness.md")
    given = parser.parse_args()
    from hostile import preload

    preload()
    operations, moments, two = at_every_operation(), at_random(given.random), two_at_once(given.two)
    if given.write:
        rows = [
            f"| killed (`kill -9`) at each file operation | {operations[0]} | {operations[1]} | {operations[2]} |",
            f"| killed at random moments | {given.random} | {moments[0]} | {moments[1]} |",
            f"| two exports to one destination at once | {given.two} | | {two} |",
        ]
        write_section("Kills", "\n".join([*_HEAD, *rows]))
    return min(255, operations[2] + moments[1] + two)


if __name__ == "__main__":
    sys.exit(main())
