"""What the backends share whose vendor's simulator runs here, in a toolchain's environment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from segship.core.artifacts import Device
from segship.core.errors import BackendError
from segship.core.sessions import OpenSession
from segship.toolchains.worker import WorkerProcess, call

if TYPE_CHECKING:
    import re
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from segship.core.artifacts import BackendInfo, Engine, Session
    from segship.toolchains.environment import Toolchain

    Advice = Sequence[tuple[re.Pattern[str], str]]

__all__ = ["advised", "build", "open_simulator", "simulator", "unbuildable"]

_SECONDS = 1800  # networks of the zoo take two minutes at most


def advised(error: BackendError, chip: str, advice: Advice) -> BackendError:
    """The vendor's error with the chip's name and what to do.

    Args:
        error: As the environment told it.
        chip: As users name it.
        advice: What to do where a pattern is found; the first one counts.
    """
    text = str(error)
    what = next((what for pattern, what in advice if pattern.search(text)), "")
    return BackendError(f"{text} (for {chip})" + (f": {what}" if what else ""))


def build(toolchain: Toolchain, worker: Path, arguments: Sequence[object], directory: Path) -> Any:
    """Let a worker's function ``build`` write an engine's files, and nothing else, to a folder.

    Args:
        toolchain: Of the vendor.
        worker: The file that its environment runs.
        arguments: Of the function.
        directory: The folder, an absolute path.

    Returns:
        What the function returns.

    Raises:
        BackendError: The environment is missing, or the vendor's tools refuse the network.
    """
    try:
        return call(toolchain, worker, "build", arguments, folder=directory, seconds=_SECONDS)
    finally:
        (directory / "result.json").unlink(missing_ok=True)


def open_simulator(info: BackendInfo, toolchain: Toolchain, worker: Path, engine: Engine, chip: str) -> Session:
    """Open an engine on the vendor's simulator, by a worker's function ``simulate``.

    Args:
        info: Of the backend.
        toolchain: Of the vendor.
        worker: The file that its environment runs.
        engine: Its folder is what the function is given first.
        chip: What the function is given besides: the chip that is meant, as the worker reads it.

    Raises:
        BackendError: The environment is missing.
    """
    toolchain.require()
    process = WorkerProcess(toolchain, worker, "simulate", (engine.directory.absolute(), chip), folder=engine.directory)
    source, output = engine.inputs[0].name, engine.outputs[0].name

    def run(feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
        return {output: np.asarray(process(np.asarray(feeds[source], np.float32)), np.float32)}

    return OpenSession(f"{info.title}'s simulator", run, process.close)


def unbuildable(toolchain: Toolchain) -> str:
    """Why no engine can be built here; an empty text where the environment is finished.

    Args:
        toolchain: Of the vendor.
    """
    try:
        toolchain.require()
    except BackendError as error:
        return str(error)
    return ""


def simulator(toolchain: Toolchain, kind: str) -> Device:
    """The simulator as a device.

    Args:
        toolchain: Of the vendor; the first of its packages brings the simulator.
        kind: What the vendor calls it.
    """
    ready = toolchain.environment().ready
    version = f"{toolchain.title} {next(iter(toolchain.packages.values()))}"
    note = version if ready else f"no environment of {toolchain.title}: segship doctor --setup {toolchain.name}"
    return Device("simulator", usable=ready, note=note, simulator=f"{version} {kind}")
