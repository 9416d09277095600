"""What is reported."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from segship.evaluate import NetworkFiles
from segship.report.cells import ORIGINAL, slug

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Request", "network_of"]


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


def network_of(request: Request, name: str) -> NetworkFiles:
    """The network itself, or a target's package.

    Args:
        request: What is reported.
        name: `ORIGINAL` or a target.
    """
    # A package was made here, so that it may run what it carries.
    return request.files if name == ORIGINAL else NetworkFiles(request.package(name), trust=True)
