"""Kits: what somebody with a vendor's tools needs to make an engine, run it, and bring the results back.

A backend whose engines are made by a vendor's program says with ``recipe`` which commands make and run one. The same
commands stand in a kit's ``convert.sh`` and ``run.sh``, and are run here where the program is on PATH.
"""

from __future__ import annotations

import math
import os
import shutil
import signal
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeGuard, runtime_checkable

import numpy as np

from segship.core.artifacts import Engine, TensorInfo
from segship.core.errors import BackendError, one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from segship.core.artifacts import Backend, BackendInfo, Graph
    from segship.core.spec import ModelSpec
    from segship.core.target import Target

__all__ = [
    "CALIBRATION",
    "CALIBRATION_ARRAY",
    "CALIBRATION_LIST",
    "ENGINES",
    "INPUTS",
    "INPUT_LIST",
    "KIT",
    "OUTPUTS",
    "KitBackend",
    "KitJob",
    "Recipe",
    "as_bytes",
    "batches_of",
    "build_here",
    "early_job",
    "has_recipe",
    "holds_kit",
    "require_buildable",
    "run_commands",
]

KIT = "kit.json"
"""Name of the file that makes a folder a kit."""

ENGINES, INPUTS, OUTPUTS, CALIBRATION = "engines", "inputs", "outputs", "calibration"
"""Folders of a kit."""

CALIBRATION_LIST, CALIBRATION_ARRAY, INPUT_LIST = "calibration.txt", "calibration.npy", "inputs.txt"
"""Names of all files of these folders, a line each; and all calibration inputs in one array."""

_MOST_BATCH = 4096
_NEAR = 0.01  # float32 noise of (x - mean) / std * std + mean
_SECONDS = 6 * 3600  # tuning converters take hours
_LAST = 4000  # characters of what a program printed that are looked at


@dataclass(frozen=True)
class KitJob:
    """What a recipe is written for.

    Attributes:
        target: Engine, precision, shape and the vendor's own options.
        models: The ONNX file for each number of images at once; one for all under the least where its batch is free.
        image: The network's input (1, C, H, W); a size that is free has a name.
        output: The network's output (1, K, h, w).
        spec: What the network expects; None: not known, where only the engine is made.
        calibration: Number of files in ``calibration``.
        inputs: Name without suffix, and (height, width), of each packed input.
    """

    target: Target
    models: Mapping[int, str]
    image: TensorInfo
    output: TensorInfo
    spec: ModelSpec | None = None
    calibration: int = 0
    inputs: tuple[tuple[str, tuple[int, int]], ...] = ()

    @property
    def batches(self) -> tuple[int, ...]:
        """Images at once, ascending."""
        return batches_of(self.target)

    def shape(self, batch: int | str) -> tuple[int | str, ...]:
        """Shape of the input for so many images."""
        return (batch, *self.image.shape[1:])

    def model(self, batch: int) -> str:
        """The ONNX file for so many images."""
        return self.models.get(batch) or next(iter(self.models.values()))


@dataclass(frozen=True)
class Recipe:
    """The commands that make an engine and run it, as lines of a shell, from the kit's folder.

    Attributes:
        convert: They write to ``engines``; no data but the model and ``calibration`` are needed.
        run: They write to ``outputs/result_bsN`` for each N images at once, and times to ``outputs/time_bsN.log``.
        engines: What ``convert`` writes for each number of images at once: a file or folder below ``engines``.
        results: Patterns of the names of an input's output below ``result_bsN``, without suffix: ``{stem}`` for the
            input's name without suffix, ``{number}`` for its place, ``{output}`` for the output's name.
        needs: What has to be installed, and from where, in a sentence.
        files: Further files of the kit, by name, as text.
        layout: Order of the axes that the engine takes and returns.
        pixels: Whether the engine normalises: its inputs are then uint8 (H, W, C).
        dtype: Of raw outputs without a type of their own.
        options: What the backend wants to remember to open an engine.
        by_size: Whether inputs lie in a folder for each size, ``inputs/512x1024``.
        written: Reads from the tool's own summary, ``result_bsN_summary.json``, which file it wrote of which input.
        by_hand: Whether somebody's own program writes the outputs after ``run``, so that there are no digests of them.
    """

    convert: Sequence[str]
    run: Sequence[str]
    engines: Mapping[int, str]
    results: Sequence[str]
    needs: str
    files: Mapping[str, str] = field(default_factory=dict)
    layout: Literal["nchw", "nhwc"] = "nchw"
    pixels: bool = False
    dtype: str = "float32"
    options: Mapping[str, Any] = field(default_factory=dict)
    by_size: bool = False
    written: Callable[[str], Sequence[tuple[str, str]]] | None = None
    by_hand: bool = False


@runtime_checkable
class KitBackend(Protocol):
    """What a backend has besides, whose engines a vendor's program makes."""

    INFO: BackendInfo
    PROGRAMS: Sequence[str]
    """What ``convert`` of its recipes runs; all on PATH: engines are made here."""

    def recipe(self, job: KitJob) -> Recipe:
        """Write the commands for a job.

        Raises:
            BackendError: An option is missing, or contradicts the target.
        """

    def free(self, target: Target) -> bool:
        """Whether the ONNX file leaves sizes free that the vendor's program fixes."""

    def read_speed(self, text: str, batch: int) -> float | None:
        """Read the images per second from what the timing of ``run`` printed for a batch; None: nothing is said.

        Raises:
            ValueError: It cannot be read.
            InputError: It is of another number of images at once.
        """

    def explain(self, text: str) -> str:
        """Say in one line why the program failed and what to do, from what it printed."""


def has_recipe(backend: Backend) -> TypeGuard[KitBackend]:
    """Return whether a vendor's program makes the backend's engines, so that kits can be written for it."""
    return isinstance(backend, KitBackend)


def batches_of(target: Target) -> tuple[int, ...]:
    """Read the option ``batch`` of a target.

    Returns:
        Images at once, ascending; 1 where nothing is said.

    Raises:
        BackendError: It is no list of numbers.
    """
    text = str(target.options.get("batch", "1"))
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdigit() and 1 <= int(part) <= _MOST_BATCH for part in parts):
        raise BackendError(f"the option batch is {text!r}: expected numbers of images, as in batch=1,4,8")
    return tuple(sorted({int(part) for part in parts}))


def as_bytes(tensor: NDArray[np.float32], mean: Sequence[float], std: Sequence[float]) -> NDArray[np.uint8]:
    """Undo the normalisation of an input, for engines that normalise themselves.

    Args:
        tensor: float32 (N, C, H, W), ``(pixels - mean) / std``.
        mean: Of each channel.
        std: Of each channel.

    Returns:
        uint8 (N, H, W, C).

    Raises:
        BackendError: The pixels were no bytes: they were padded with other values, or resized as floating point.
    """
    scale, shift = (np.asarray(values, np.float32)[:, None, None] for values in (std, mean))
    pixels = tensor * scale + shift
    whole = np.rint(pixels)
    if whole.min() < 0 or whole.max() > 255 or np.abs(pixels - whole).max() > _NEAR:  # noqa: PLR2004
        raise BackendError(
            "the network is given pixels that are no bytes (padding, or a resize of floating-point values)"
        )
    return np.ascontiguousarray(whole.astype(np.uint8).transpose(0, 2, 3, 1))


def early_job(target: Target, calibration: int = 0) -> KitJob:
    """What is known before a network is read: enough for a recipe to refuse options.

    Args:
        target: What is built.
        calibration: Number of images that int8 is fitted to.
    """
    size = target.shape.static or (("height", "width") if not target.shape.own else (1, 1))
    image = TensorInfo(name="image", dtype="float32", shape=(1, 3, *size))
    output = TensorInfo(name="logits", dtype="float32", shape=(1, 1, *size))
    models = {batch: f"model_bs{batch}.onnx" for batch in batches_of(target)}
    return KitJob(target, models, image, output, spec=None, calibration=calibration)


def require_buildable(backend: KitBackend, target: Target) -> None:
    """Check that a vendor's program can make an engine on this machine.

    Args:
        backend: Whose program it is.
        target: What is built.

    Raises:
        BackendError: The program is not on PATH, an option is missing, or only a kit can be made of the target.
    """
    title = backend.INFO.title
    if missing := [program for program in backend.PROGRAMS if shutil.which(program) is None]:
        raise BackendError(
            f"{title} engines are made by {', '.join(backend.PROGRAMS)}, and {', '.join(missing)} is not on PATH: "
            "--kit FOLDER, without OUT, writes what a machine that has it needs"
        )
    if target.precision == "int8":
        raise BackendError(f"{title} calibrates int8 with images: --kit FOLDER writes them beside its commands")
    if len(batches := batches_of(target)) > 1:
        raise BackendError(f"a package has one engine, and the option batch is {batches}: name one, or write a --kit")
    backend.recipe(early_job(target))


def build_here(backend: KitBackend, graph: Graph, target: Target, directory: Path) -> Engine:
    """Make an engine by the vendor's program, as a kit's ``convert.sh`` does.

    Args:
        backend: Whose recipe is followed.
        graph: ONNX.
        target: What is built; one number of images at once.
        directory: Where the engine's files go.

    Raises:
        BackendError: As `require_buildable`; or the program fails, or does not end.
    """
    require_buildable(backend, target)
    title, batches = backend.INFO.title, batches_of(target)
    with tempfile.TemporaryDirectory(dir=graph.path.parent, prefix="vendor-") as scratch:
        folder = Path(scratch)
        for file in (graph.path, *graph.path.parent.glob(f"{graph.path.name}.data")):
            os.link(file, folder / file.name)
        job = KitJob(target, {batches[0]: graph.path.name}, graph.inputs[0], graph.outputs[0])
        made = backend.recipe(job)
        for name, text in made.files.items():
            (folder / name).write_text(text, encoding="utf-8")
        run_commands(made.convert, folder, title=title, explain=backend.explain)
        files = _moved(folder / ENGINES, made.engines[batches[0]], directory, title)
    return Engine(directory, files, graph.inputs, graph.outputs, made.options)


def _moved(engines: Path, name: str, directory: Path, title: str) -> tuple[str, ...]:
    source = engines / name
    files = sorted(source.rglob("*")) if source.is_dir() else [source]
    files = [file for file in files if file.is_file()]
    if not files or not all(file.stat().st_size for file in files):
        raise BackendError(f"{title} says that it succeeded, but has written no {name}")
    names = tuple(file.relative_to(engines).as_posix() for file in files)
    for file, relative in zip(files, names, strict=True):
        (directory / relative).parent.mkdir(parents=True, exist_ok=True)
        shutil.move(file, directory / relative)
    return names


def run_commands(
    lines: Sequence[str],
    folder: Path,
    *,
    title: str,
    explain: Callable[[str], str],
    seconds: float | None = None,
) -> str:
    """Run lines of a shell to their end; whatever they started is ended with them.

    Args:
        lines: Commands; the first that fails ends them.
        folder: Where they run.
        title: Of the vendor's tools, for messages.
        explain: Says why they failed, from what they printed.
        seconds: Time limit; None: $SEGSHIP_TOOL_SECONDS, or six hours.

    Returns:
        What they printed.

    Raises:
        BackendError: They fail, or take longer.
    """
    limit = seconds or _limit()
    script = "set -euo pipefail\nmkdir -p " + ENGINES + "\n" + "\n".join(lines) + "\n"
    with (folder / "commands.log").open("w+", encoding="utf-8", errors="replace") as log:
        process = subprocess.Popen(  # noqa: S603  (our own recipe; values in it are quoted)
            ["/bin/bash", "-c", script],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            status = process.wait(limit)
        except subprocess.TimeoutExpired:
            raise BackendError(
                f"{title} has not finished within {limit:g} seconds and was ended; $SEGSHIP_TOOL_SECONDS says how long "
                "it may take"
            ) from None
        finally:
            _end_all(process)
        log.seek(0)
        text = log.read()
    if status:
        said = explain(text) or one_line(text[-_LAST:], last=True) or "it does not say why"
        raise BackendError(f"{title} fails (status {status}): {said}")
    return text


def _limit() -> float:
    try:
        seconds = float(os.environ.get("SEGSHIP_TOOL_SECONDS", _SECONDS))
    except ValueError:
        seconds = math.nan
    if not seconds > 0:
        raise BackendError("$SEGSHIP_TOOL_SECONDS is no positive number of seconds")
    return seconds


def _end_all(process: subprocess.Popen[bytes]) -> None:
    """End the shell and all that it started."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return
    finally:
        process.wait()


def holds_kit(folder: Path) -> bool:
    """Return whether ``folder`` is a kit, whatever else lies in it."""
    return (folder / KIT).is_file()
