"""What is reported."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from segship.backends import default_device
from segship.core.errors import InputError
from segship.core.target import Target
from segship.evaluation import NetworkFiles
from segship.report.cells import ORIGINAL, slug

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Request", "network_of"]

_CPU = "cpu"


@dataclass(frozen=True)
class Request:
    """What is reported.

    Attributes:
        config: The framework's config.
        checkpoint: Its weights; None where the config brings them.
        targets: Engine, precision and shape of each column.
        to: Folder of the report: cells, packages and the page.
        data_name: What is evaluated on, for people.
        batch_sizes: Images in one run, for the timing.
        duration: Seconds of timing for each target and batch size.
        calibration: Folder of images that int8 is fitted to.
        threads: Threads of each engine in the timing; None: its own choice.
        workers: Processes that share an evaluation.
        redo: Targets that are made again, however complete they are.
        retime: Time everything again, so that all of it is of one run.
        pictures: How many sample masks are shown.
        devices: What the engines run on: ``"cuda"`` for all of them, ``"tensorrt=cuda:1"`` for one. What is not said is
            ``cpu``, or where an engine has none, as TensorRT, the first device it has.
    """

    config: Path
    checkpoint: Path | None
    targets: tuple[str, ...]
    to: Path
    data_name: str
    batch_sizes: tuple[int, ...] = (1,)
    duration: float = 3.0
    calibration: Path | None = None
    threads: int | None = None
    workers: int = 1
    redo: tuple[str, ...] = ()
    retime: bool = False
    pictures: int = 3
    devices: tuple[str, ...] = ()

    @property
    def files(self) -> NetworkFiles:
        """The network itself."""
        return NetworkFiles(self.config, self.checkpoint)

    def package(self, target: str) -> Path:
        """Where a target's package lies.

        Args:
            target: One of ``targets``.

        Returns:
            The folder, which exists once the target is made.
        """
        return self.to / "packages" / slug(target)

    def device(self, name: str) -> str:
        """What a candidate runs on.

        Args:
            name: `ORIGINAL`, which runs on the processor, or one of ``targets``.

        Returns:
            A device of its engine, as ``cpu`` or ``cuda:0``.

        Raises:
            BackendError: There is no such engine.
        """
        if name == ORIGINAL:
            return _CPU
        chosen = dict(map(_read_device, self.devices))
        engine = Target.parse(name).backend
        return chosen.get(engine) or chosen.get("") or default_device(engine)

    def check(self) -> None:
        """Check what can be checked before anything is made.

        Raises:
            InputError: A target's name is none, or a device is for an engine that no target is of.
        """
        engines = {Target.parse(target).backend for target in self.targets}
        strange = sorted(dict(map(_read_device, self.devices)).keys() - engines - {""})
        if strange:
            raise InputError(
                f"a device is given for {', '.join(strange)}, but the targets are of {', '.join(sorted(engines))}"
            )


def network_of(request: Request, name: str) -> NetworkFiles:
    """The network itself, or a target's package.

    Args:
        request: What is reported.
        name: `ORIGINAL` or a target.
    """
    # A package was made here, so that it may run what it carries.
    return (
        request.files
        if name == ORIGINAL
        else NetworkFiles(request.package(name), device=request.device(name), trust=True)
    )


def _read_device(text: str) -> tuple[str, str]:
    """Engine, empty for all of them, and device."""
    engine, equals, device = text.partition("=")
    return (engine, device) if equals else ("", engine)
