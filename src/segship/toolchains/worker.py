"""Work that is done in a toolchain's environment: a function called once, or a process that answers arrays."""

from __future__ import annotations

import contextlib
import io
import json
import struct
import subprocess
import tempfile
import threading
import weakref
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from segship.core.errors import BackendError, UnsupportedError
from segship.toolchains.environment import LAUNCHER
from segship.toolchains.program import last_lines, run_program

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from types import TracebackType

    from numpy.typing import NDArray

    from segship.toolchains.environment import Toolchain

__all__ = ["SECONDS", "WorkerProcess", "call"]

SECONDS = 1800
"""Time limit of a call where none is given: the largest networks take one minute."""

_RESULT = "result.json"


def call(
    toolchain: Toolchain,
    worker: Path,
    function: str,
    arguments: Sequence[object],
    *,
    folder: Path,
    seconds: float = SECONDS,
) -> Any:
    """Call a function of a file in a toolchain's environment.

    Args:
        toolchain: Its environment must be finished.
        worker: A Python file, which may not import Segship.
        function: Name of the function in it.
        arguments: Given to the function as strings.
        folder: Working directory of the process; ``result.json`` is written there.
        seconds: Time limit.

    Returns:
        What the function returns, as JSON values.

    Raises:
        BackendError: The environment is missing, the function raises, or it takes longer than ``seconds``.
    """
    result = folder.absolute() / _RESULT
    result.unlink(missing_ok=True)
    done = run_program(
        _command(toolchain, "call", worker, function, (result, *arguments)),
        title=toolchain.title,
        folder=folder,
        seconds=seconds,
        variables=toolchain.process_variables(),
    )
    if not result.is_file():
        raise BackendError(f"{toolchain.title} has ended with status {done.status}: {last_lines(done.said)}")
    report = json.loads(result.read_text(encoding="utf-8"))
    if "error" in report:
        raise BackendError(f"{toolchain.title} fails: {report['error']}")
    return report["result"]


class WorkerProcess:
    """A process in a toolchain's environment that answers an array with an array; it starts at the first one.

    It may be used from any thread, one array at a time, and ends with `close`, or when the object is collected.

    Args:
        toolchain: Its environment must be finished.
        worker: A Python file, which may not import Segship.
        function: Name of a function in it that returns the callable which answers arrays.
        arguments: Given to the function as strings.
        folder: Working directory of the process.
        seconds: Time limit of one answer; a process that takes longer is ended.

    Raises:
        BackendError: The environment is missing.
    """

    def __init__(
        self,
        toolchain: Toolchain,
        worker: Path,
        function: str,
        arguments: Sequence[object],
        *,
        folder: Path,
        seconds: float = SECONDS,
    ) -> None:
        self._toolchain, self._folder, self._seconds = toolchain, folder, seconds
        self._command = _command(toolchain, "serve", worker, function, arguments)
        self._process: subprocess.Popen[bytes] | None = None
        self._end: weakref.finalize[..., WorkerProcess] | None = None
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the process; the next array starts another one."""
        with self._lock:
            if self._end is not None:
                self._end()
            self._process = self._end = None

    def __call__(self, array: NDArray[Any]) -> NDArray[Any]:
        """Return the process's answer to an array.

        Raises:
            UnsupportedError: The function raises on this array.
            BackendError: The process has ended, or takes longer than its time limit.
        """
        question = io.BytesIO()
        np.save(question, np.ascontiguousarray(array), allow_pickle=False)
        with self._lock:
            failed, answer = self._ask(question.getvalue())
        if failed:
            text = answer.decode(errors="replace")
            raise UnsupportedError(
                f"{self._toolchain.title} does not run the network on an input of {array.shape}: {text}"
            )
        found: NDArray[Any] = np.load(io.BytesIO(answer), allow_pickle=False)
        return found

    def _ask(self, question: bytes) -> tuple[int, bytes]:
        process = self._started()
        watch = threading.Timer(self._seconds, process.kill)
        watch.start()
        try:
            if process.stdin is None or process.stdout is None:
                raise BrokenPipeError
            process.stdin.write(struct.pack("<Q", len(question)) + question)
            process.stdin.flush()
            failed, length = struct.unpack("<BQ", process.stdout.read(9))
            answer = process.stdout.read(length)
        except (OSError, struct.error):
            raise BackendError(self._why_ended(process, late=not watch.is_alive())) from None
        finally:
            watch.cancel()
        return failed, answer

    def _why_ended(self, process: subprocess.Popen[bytes], *, late: bool) -> str:
        title = self._toolchain.title
        if late:
            return f"{title} has not answered within {self._seconds:g} seconds, and its process was ended"
        process.kill()
        status = process.wait()
        self._log.seek(0)
        said = last_lines(self._log.read().decode(errors="replace"))
        return f"{title}'s process has ended with status {status}: {said}"

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            self._log = tempfile.TemporaryFile()  # noqa: SIM115  (the process writes it as long as it lives)
            self._process = subprocess.Popen(  # noqa: S603  (our own arguments, no shell)
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log,
                cwd=self._folder,
                env=self._toolchain.process_variables(),
            )
            self._end = weakref.finalize(self, _end, self._process, self._log)
        return self._process


def _command(toolchain: Toolchain, how: str, worker: Path, function: str, arguments: Sequence[object]) -> list[str]:
    python = toolchain.require().python
    return [str(python), "-I", str(LAUNCHER), how, str(worker), function, *map(str, arguments)]


def _end(process: subprocess.Popen[bytes], log: Any) -> None:
    """Close the pipe, which ends the process."""
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()
    try:
        process.wait(timeout=5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    log.close()
