"""What decides the result of a tuning: files, images, options, machine and versions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from segship import __version__
from segship.backends import backends
from segship.core.processor import processor, processors
from segship.core.versions import module_versions
from segship.deploy.requirements import EXPORT_MODULES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from segship.core.plan import Embedded, Int8
    from segship.datasets.samples import Sample
    from segship.sources import Loaded

__all__ = ["settings_of"]


def settings_of(
    loaded: Loaded,
    samples: Sequence[Sample],
    options: Int8,
    *,
    engines: Sequence[str],
    embed: Sequence[Embedded],
    trust: bool,
) -> dict[str, Any]:
    """Tell what a tuning depends on.

    Nothing is drawn at random: the images are spread over the folder by their names, and quantizers see them in that
    order.

    Args:
        loaded: The network.
        samples: The images that are looked at.
        options: What a candidate may cost.
        engines: Names of the engines; none: all.
        embed: The work on images that the engines do themselves.
        trust: Whether engines that carry code are tried.

    Returns:
        JSON types.
    """
    modules = [module for backend in backends().values() for module in backend.INFO.modules]
    versions = module_versions((*EXPORT_MODULES, *modules))
    return {
        "network": loaded.spec.architecture,
        "origin": {name: file.sha256 for name, file in loaded.origin.items()},
        "calibration": str(options.calibration),
        "labels": None if options.labels is None else str(options.labels),
        "judged_by": "the labels kept, for no label maps were given" if options.labels is None else "mIoU",
        "images": [sample.name for sample in samples],
        "max_drop": options.drop,
        "engines": list(engines),
        "embed": list(embed),
        "trust": trust,
        "random": "nothing is drawn at random",
        "processor": str(processor()),
        "processors": processors(),
        "versions": {"segship": __version__} | {name: value for name, value in versions.items() if value is not None},
    }
