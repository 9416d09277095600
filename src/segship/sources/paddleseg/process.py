"""Paddle at work in its own environment: one run to prepare a program, and a process that answers arrays."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import struct
import subprocess
import tempfile
import threading
import weakref
from typing import TYPE_CHECKING, Any

import numpy as np

from segship.core.errors import BackendError, ConfigError, UnsafeFileError, UnsupportedError
from segship.sources.paddleseg.environment import WORKER, process_variables, require

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["PaddleProcess", "prepare"]

_SECONDS = 1800  # the largest networks take one minute
_LINES = 4


def prepare(program: Path, params: Path, folder: Path, *, opset: int) -> dict[str, Any]:
    """Cut off what follows the scores, compare the rest with the whole program, and convert it.

    Args:
        program: ``.json`` or ``.pdmodel``.
        params: Its weights.
        folder: An empty one. Gets ``cut.json`` and ``cut.pdiparams``, the program that ends in scores, and the same as
            ``model.onnx``.
        opset: Version of the ONNX operators.

    Returns:
        ``inputs`` and ``outputs``, each with ``shape`` and ``dtype``; ``tail``: whether ``argmax``, ``softmax`` and
        ``resize`` were cut off, the last with its ``align_corners`` or None.

    Raises:
        BackendError: The environment is missing, or the conversion fails.
        ConfigError: The program cannot be read.
        UnsafeFileError: It holds operators that do more than compute; nothing was run.
        UnsupportedError: It does not take one image and return one array.
    """
    python = require().python
    model, weights = folder / f"model{program.suffix}", folder / "model.pdiparams"
    for source, link in ((program, model), (params, weights)):  # Paddle wants the two to have the same name
        _link(source.absolute(), link)
    command = [str(python), "-I", str(WORKER), "prepare", str(model), str(weights), str(folder), str(opset)]
    try:
        done = subprocess.run(  # noqa: S603  (our own arguments, no shell)
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_SECONDS,
            check=False,
            cwd=folder,
            env=process_variables(),
        )
    except subprocess.TimeoutExpired:
        raise BackendError(f"Paddle has not converted {program} within {_SECONDS} seconds") from None
    return _read_report(folder, program, done)


def _link(source: Path, link: Path) -> None:
    try:
        link.symlink_to(source)
    except OSError:  # where links need a permission
        shutil.copyfile(source, link)


def _read_report(folder: Path, program: Path, done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """What the worker found.

    Raises:
        SegshipError: It failed; which one says how.
    """
    said = " / ".join(line.strip() for line in done.stderr.splitlines()[-_LINES:] if line.strip())
    file = folder / "report.json"
    if not file.is_file():
        raise BackendError(f"Paddle cannot convert {program} (status {done.returncode}): {said[-600:]}")
    report: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    if "refused" in report:
        raise UnsafeFileError(f"{program} is refused: {report['refused']}; nothing was run")
    if "unreadable" in report:
        raise ConfigError(f"{program} cannot be read by Paddle: {report['unreadable']}")
    if "error" in report:
        raise BackendError(f"Paddle cannot convert {program}: {report['error']}")
    if "tail" not in report:
        raise UnsupportedError(
            f"{program} takes {_shown(report['inputs'])} and returns {_shown(report['outputs'])}; expected one image "
            "(N, channels, H, W) and one array of scores or labels"
        )
    return report


def _shown(values: list[dict[str, Any]]) -> str:
    return "; ".join(f"{value['dtype']} {tuple(value['shape'])}" for value in values) or "nothing"


class PaddleProcess:
    """A program run by Paddle Inference in a process of its own, which starts at the first image.

    Args:
        program: Ends in scores.
        params: Its weights.
        threads: Of its arithmetic.
    """

    def __init__(self, program: Path, params: Path, *, threads: int) -> None:
        python = str(require().python)
        self._command = [python, "-I", str(WORKER), "serve", str(program), str(params), str(threads)]
        self._folder = program.parent
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def __call__(self, image: NDArray[Any]) -> NDArray[np.float32]:
        """The scores (N, K, h, w) of float32 ``image`` (N, C, H, W).

        Raises:
            UnsupportedError: The program does not run on an image of this size.
            BackendError: The process has ended.
        """
        question = io.BytesIO()
        np.save(question, np.ascontiguousarray(image), allow_pickle=False)
        with self._lock:
            failed, answer = self._ask(question.getvalue())
        if failed:
            text = answer.decode(errors="replace")
            raise UnsupportedError(f"Paddle does not run the network on an input of {image.shape}: {text}")
        scores: NDArray[np.float32] = np.load(io.BytesIO(answer), allow_pickle=False)
        return scores

    def _ask(self, question: bytes) -> tuple[int, bytes]:
        process = self._started()
        try:
            if process.stdin is None or process.stdout is None:
                raise BrokenPipeError
            process.stdin.write(struct.pack("<Q", len(question)) + question)
            process.stdin.flush()
            header = process.stdout.read(9)
            failed, length = struct.unpack("<BQ", header)
            answer = process.stdout.read(length)
        except (OSError, struct.error):
            raise BackendError(f"Paddle's process has ended with status {process.poll()}: {self._last()}") from None
        return failed, answer

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            self._log = tempfile.TemporaryFile()  # noqa: SIM115  (the process writes it as long as it lives)
            self._process = subprocess.Popen(  # noqa: S603  (our own arguments, no shell)
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log,
                cwd=self._folder,
                env=process_variables(),
            )
            weakref.finalize(self, _end, self._process, self._log)
        return self._process

    def _last(self) -> str:
        self._log.seek(0)
        return " / ".join(self._log.read().decode(errors="replace").splitlines()[-_LINES:])[-400:]


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
