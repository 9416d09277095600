"""Flip every byte of a small package, one bit each, and tell which change is not noticed when the package is opened.

::

    python fuzz/flips.py [PACKAGE] [--bits 8] [--write]

The exit status is 1 where a change goes unnoticed or ends in anything but one `SegshipError`.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from robustness import write_section
from segship.core.errors import SegshipError
from segship.core.manifest import MANIFEST
from segship.runtime.package import find_package

SMALL = Path(__file__).parents[1] / "spec" / "vectors" / "packages" / "one_pixel"
_BITS = 8


@dataclass
class Flips:
    """What became of the flips of one file.

    Attributes:
        tried: How many.
        unnoticed: Byte and bit of each that was opened without a word.
        uncaught: Byte, bit and exception of each that ended in something else than a `SegshipError`.
    """

    tried: int = 0
    unnoticed: list[tuple[int, int]] = field(default_factory=list)
    uncaught: list[tuple[int, int, str]] = field(default_factory=list)


def flip_file(package: Path, name: str, *, bits: int = 1, every: int = 1) -> Flips:
    """Flip bytes of one file, one bit at a time, open the package each time, and put the file back.

    Args:
        package: A package that may be written to.
        name: The file.
        bits: How many bits of each byte, 1-8; which one comes first changes from byte to byte.
        every: Only every so many bytes.
    """
    path, found = package / name, Flips()
    data = bytearray(path.read_bytes())
    for place in range(0, len(data), every):
        for bit in range(bits):
            mask = 1 << (place + bit) % _BITS
            data[place] ^= mask
            path.write_bytes(data)
            data[place] ^= mask
            found.tried += 1
            try:
                find_package(package)
            except SegshipError:
                continue
            except Exception as error:  # noqa: BLE001  (that is what is looked for)
                found.uncaught.append((place, bit, repr(error)))
            else:
                found.unnoticed.append((place, bit))
    path.write_bytes(data)
    return found


def main(arguments: list[str] | None = None) -> int:
    """Flip every byte of every file of a copy, and print what was found."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("package", nargs="?", type=Path, default=SMALL)
    parser.add_argument("--bits", type=int, choices=range(1, _BITS + 1), default=1)
    parser.add_argument("--write", action="store_true", help="into docs/tables/robustness.md")
    options = parser.parse_args(arguments)
    lines, wrong = ["| file | flipped bits | not noticed | other than one error |", "|---|---:|---:|---:|"], 0
    with tempfile.TemporaryDirectory() as folder:
        package = Path(shutil.copytree(options.package, Path(folder) / "package"))
        for name in (MANIFEST, *find_package(package).manifest.files):
            found = flip_file(package, name, bits=options.bits)
            wrong += len(found.unnoticed) + len(found.uncaught)
            lines.append(f"| `{name}` | {found.tried} | {len(found.unnoticed)} | {len(found.uncaught)} |")
            sys.stdout.write(
                f"{name}: {found.tried} flips, {found.tried - len(found.unnoticed) - len(found.uncaught)} noticed, "
                f"{len(found.unnoticed)} not noticed {found.unnoticed[:5]}, {len(found.uncaught)} uncaught "
                f"{found.uncaught[:5]}\n"
            )
    if options.write:
        told = f"`python fuzz/flips.py`, {options.bits} of the 8 bits of every byte, the package opened after each."
        write_section("Flipped bytes", "\n".join([told, "", *lines]))
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
