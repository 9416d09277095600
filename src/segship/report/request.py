"""A report that is asked for."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, field
from typing import TYPE_CHECKING

from segship.backends import default_device
from segship.core.errors import InputError
from segship.core.target import Target
from segship.evaluation import NetworkFiles
from segship.report.results import ORIGINAL, slug

if TYPE_CHECKING:
    from pathlib import Path

    from segship.evaluation import Data
    from segship.sources import Source

__all__ = ["Request", "Timing", "network_of"]

_CPU = "cpu"


@dataclass(frozen=True)
class Timing:
    """The settings of the timing.

    Attributes:
        batch_sizes: Images in one run.
        duration: Seconds for each target and batch size.
        threads: Threads of each engine; None: its own choice.
    """

    batch_sizes: tuple[int, ...] = (1,)
    duration: float = 3.0
    threads: int | None = None


@dataclass(frozen=True)
class Request:
    """A report that is asked for.

    Attributes:
        source: The trained network.
        data: What is evaluated on.
        targets: Engine, precision and shape of each column.
        to: Folder of the report: results, packages and the page.
        timing: How targets are timed.
        calibration: Folder of images that int8 is fitted to.
        calibration_labels: Folder of their label maps, by which int8 is judged; None: by how many labels it keeps.
        workers: Processes that share an evaluation.
        redo: Targets that are made again, however complete they are.
        retime: Time everything again, so that all of it is of one run.
        pictures: How many sample masks are shown.
        devices: What the engines run on: ``"cuda"`` for all of them, ``"tensorrt=cuda:1"`` for one. What is not said is
            ``cpu``, or where an engine has none, as TensorRT, the first device it has.
        adopted: Packages that were made of what a chip elsewhere returned, whose figures stand in tables of their own.
    """

    source: Source
    data: Data
    targets: tuple[str, ...]
    to: Path
    _: KW_ONLY
    timing: Timing = field(default_factory=Timing)
    calibration: Path | None = None
    calibration_labels: Path | None = None
    workers: int = 1
    redo: tuple[str, ...] = ()
    retime: bool = False
    pictures: int = 3
    devices: tuple[str, ...] = ()
    adopted: tuple[Path, ...] = ()

    @property
    def files(self) -> NetworkFiles:
        """The network itself."""
        return NetworkFiles.of(self.source)

    def package(self, target: str) -> Path:
        """Name the folder of a target's package.

        Args:
            target: One of ``targets``.

        Returns:
            The folder, which exists once the target is made.
        """
        return self.to / "packages" / slug(target)

    def device(self, name: str) -> str:
        """Choose the device that a target runs on.

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
            InputError: Label maps are given without their images, a target's name is none, or a device is for an engine
                that no target is of.
        """
        if self.calibration_labels is not None and self.calibration is None:
            raise InputError("--calibration-labels are of the images of --calibration FOLDER: give both")
        engines = {Target.parse(target).backend for target in self.targets}
        unused = sorted(dict(map(_read_device, self.devices)).keys() - engines - {""})
        if unused:
            raise InputError(
                f"a device is given for {', '.join(unused)}, but the targets are of {', '.join(sorted(engines))}"
            )


def network_of(request: Request, name: str) -> NetworkFiles:
    """Choose the network itself, or a target's package.

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
