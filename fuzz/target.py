"""One reader under atheris: ``python fuzz/target.py READER [libFuzzer's options] CORPUS``; `fuzz/run.py` runs them all.

An input is a find if its reading raises anything but a `SegshipError`, or passes libFuzzer's limits of time and memory.
"""

from __future__ import annotations

import sys
import warnings

import atheris

from readers import READERS

warnings.simplefilter("ignore")
NAME = sys.argv.pop(1)

with atheris.instrument_imports(include=["segship", "yaml"]):
    from segship.core.errors import SegshipError

    for seed in (b"", b"x"):  # the reader imports what it needs
        try:
            READERS[NAME](seed)
        except SegshipError:
            continue


def one_input(data: bytes) -> None:
    """Read one input."""
    try:
        READERS[NAME](data)
    except SegshipError as error:
        if "\n" in str(error):
            raise


atheris.Setup(sys.argv, one_input)
atheris.Fuzz()
