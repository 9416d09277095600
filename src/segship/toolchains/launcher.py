"""What runs inside a toolchain's environment: it calls a function of a file, once or for each array it is given.

This file is started by path with that environment's interpreter and imports nothing but the standard library, and numpy
to serve. Whatever the function prints goes to standard error. It runs on Python 3.8 and newer.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import io
import json
import os
import struct
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["main", "versions"]


def main(arguments: list[str]) -> int:
    """Run ``call FILE FUNCTION RESULT ARGUMENT…`` or ``serve FILE FUNCTION ARGUMENT…``.

    ``call`` writes what the function returns to the JSON file RESULT, under ``"result"``, or an exception under
    ``"error"``. ``serve`` calls what the function returns with each array from standard input until that is closed.
    """
    command, file, name, *rest = arguments
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    if command == "serve":
        return _serve(_function(file, name)(*rest), answers)
    try:
        report = {"result": _function(file, name)(*rest[1:])}
    except Exception as error:  # noqa: BLE001  (whatever the converter raises is told)
        report = {"error": _told(error)}
        sys.stderr.write(f"{report['error']}\n")
    Path(rest[0]).write_text(json.dumps(report), encoding="utf-8")
    return int("error" in report)


def versions(distributions: str, modules: str) -> dict[str, str]:
    """Import ``modules``; return the version of each of ``distributions``. Both are separated by commas."""
    for module in filter(None, modules.split(",")):
        importlib.import_module(module)
    return {name: importlib.metadata.version(name) for name in distributions.split(",")}


def _function(file: str, name: str) -> Callable[..., Any]:
    spec = importlib.util.spec_from_file_location("worker", file)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} cannot be loaded")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    function: Callable[..., Any] = getattr(module, name)
    return function


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[-600:]}"


def _serve(run: Callable[[Any], Any], answers: BinaryIO) -> int:
    """Answer arrays with arrays until the pipe is closed: a byte (0: well, 1: an error as text), length, content."""
    import numpy as np  # noqa: PLC0415

    questions = sys.stdin.buffer
    while header := questions.read(8):
        content = questions.read(struct.unpack("<Q", header)[0])
        try:
            buffer = io.BytesIO()
            np.save(buffer, run(np.load(io.BytesIO(content), allow_pickle=False)), allow_pickle=False)
            status, answer = 0, buffer.getvalue()
        except Exception as error:  # noqa: BLE001  (whatever the converter raises is told)
            status, answer = 1, _told(error).encode()
        answers.write(struct.pack("<BQ", status, len(answer)) + answer)
        answers.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
