"""The fastest package that is right, found by measuring what this machine has."""

from __future__ import annotations

import math
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from segship.core.errors import InputError, SegshipWarning
from segship.core.files import require_replaceable
from segship.core.manifest import is_package
from segship.core.plan import Int8, read_embed
from segship.core.processor import occupied, processors
from segship.deploy.requirements import require_extra
from segship.deploy.tune import plot
from segship.deploy.tune.candidates import find_candidates
from segship.deploy.tune.journal import Journal
from segship.deploy.tune.judging import Judging
from segship.deploy.tune.result import Tried, Tuning, choose, read_prefer
from segship.deploy.tune.search import Progress, Search
from segship.deploy.tune.settings import settings_of
from segship.deploy.tune.writing import write_chosen
from segship.sources import as_source

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from segship.deploy.tune.result import Prefer
    from segship.sources import Source

__all__ = ["BUDGET", "Tried", "Tuning", "read_prefer", "tune"]

BUDGET = 20 * 60.0
"""Seconds that a tuning takes at most, where nobody says how many."""

_BUSY = 0.15  # share of the processors that others may take before it is worth a word


def tune(
    source: Source | str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    calibration: str | os.PathLike[str] | None,
    labels: str | os.PathLike[str] | None = None,
    images: int = 64,
    budget: float = BUDGET,
    max_drop: float = 0.5,
    prefer: Prefer = "speed",
    engines: Sequence[str] = (),
    embed: str | Sequence[str] = (),
    to: str | os.PathLike[str] | None = None,
    trust: bool = False,
    progress: Progress | None = None,
) -> Tuning:
    """Try engines, precisions, shapes and threads on this machine, and write the fastest package that is right.

    Each candidate is exported behind the gates of an export, its masks of the calibration images are held against the
    network's own, and its time from a decoded image to the mask is measured in turns with the others. A tuning that is
    interrupted goes on where it was, within the same budget, when it is called again with the same arguments.

    Args:
        source: The trained network: a `segship.Source`, or the config, folder or file of one that brings its weights.
        out: Folder to write the package to, as for `segship.export`.
        calibration: Folder of images like those the network will see: int8 is fitted to them, and all are judged and
            timed on them.
        labels: Folder of their label maps: candidates are then judged by mIoU; without, by the labels they share with
            the network.
        images: At most so many of the images, spread over the folder.
        budget: Seconds that all takes at most. The first candidate is finished whatever it takes.
        max_drop: With labels: the most that mIoU may change, in points, up or down.
        prefer: ``"speed"``, ``"size"`` of the files, or ``"accuracy"``: what is chosen of what passes.
        engines: Names of the engines to try; none: all that work here.
        embed: As for `segship.export`.
        to: Folder for the record, the plot and what resuming needs; None: ``out`` with ``.tune`` behind its name.
        trust: Also try engines whose files carry code.
        progress: Called with what is being done, and how many of how many candidates are done.

    Returns:
        What was tried, and the package.

    Raises:
        SegshipError: Something cannot be read, nothing passes, or a folder holds something else.
    """
    begun = time.monotonic()
    options = _checked(calibration, labels, images, max_drop)
    read_prefer(prefer)
    _require_positive(budget=budget)
    require_extra()
    out = Path(out)
    require_replaceable(out, is_package)
    tell = progress or (lambda _what, _done, _every: None)
    given, parts = as_source(source), read_embed(embed)
    tell("reading the network", 0, 1)
    loaded = given.load()
    judging = Judging(loaded, options)
    settings = settings_of(loaded, judging.samples, options, engines=engines, embed=parts, trust=trust)
    journal = Journal(Path(to) if to is not None else out.with_name(f"{out.name}.tune"), settings, budget)
    others = _tell_of_others()
    journal.resumed += time.monotonic() - begun
    targets, left_out = find_candidates(loaded, engines=engines, embed=parts, trust=trust)
    search = Search(loaded, journal, judging, parts, tell)
    finished = search.run(targets)
    tried = (*search.finish(targets), *left_out)
    chosen = choose(tried, prefer)
    tell(f"writing {chosen.target}", len(targets), len(targets))
    package = write_chosen(journal.package(chosen.target), out, chosen)
    told = {**settings, "budget": budget, "prefer": prefer, "seconds": round(journal.spent, 1), "occupied": others}
    drawn = plot.draw(tried, journal.picture, f"{loaded.spec.architecture}, {settings['processor']}")
    result = Tuning(package, chosen, tried, told, finished, journal.folder, journal.picture if drawn else None)
    journal.save(result.as_dict())
    journal.clear()
    return result


def _tell_of_others() -> float | None:
    """Measure how many processors other programs keep at work, and warn where they change what is the fastest."""
    others, have = occupied(), processors()
    if others is not None and others > _BUSY * have:
        warnings.warn(
            f"other programs keep {others:.1f} of {have} processors at work: what is the fastest beside them, with "
            "fewer threads perhaps, need not be so without them",
            SegshipWarning,
            stacklevel=3,
        )
    return None if others is None else round(others, 2)


def _checked(
    calibration: str | os.PathLike[str] | None, labels: str | os.PathLike[str] | None, images: int, max_drop: float
) -> Int8:
    _require_positive(max_drop=max_drop, images=images)
    if calibration is None:
        raise InputError(
            "tuning needs images like those the network will see, to fit int8 to and to judge and time all on: "
            "--calibration FOLDER (in Python, calibration=...)"
        )
    where = None if labels is None else str(labels)
    return Int8(calibration=str(calibration), labels=where, images=images, drop=max_drop)


def _require_positive(**numbers: float) -> None:
    for name, value in numbers.items():
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < math.inf:
            raise InputError(f"{name} is {value!r:.60}: expected a number above zero")
