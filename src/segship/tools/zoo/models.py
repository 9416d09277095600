"""The list of published networks: facts from MMSegmentation's metafiles, written by a script of this repository."""

from __future__ import annotations

import fnmatch
import functools
import json
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from segship.core.errors import InputError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["PublishedModel", "find_model", "published_models"]

_LIST = Path(__file__).parents[2] / "assets" / "zoo.json"


@dataclass(frozen=True)
class PublishedModel:
    """One published network.

    Attributes:
        name: Of its config; where several share one, of its weights.
        family: ``"PSPNet"``.
        dataset: What it was trained on: ``"Cityscapes"``.
        figures: What was reported, in percent: ``mIoU``, ``mIoU(ms+flip)``, ``mDice``.
        config: Path of its config below MMSegmentation's folder of configs.
        weights: Address of its checkpoint.
    """

    name: str
    family: str
    dataset: str
    figures: Mapping[str, float]
    config: str
    weights: str

    @property
    def file(self) -> str:
        """Name of the checkpoint's file."""
        return urlsplit(self.weights).path.rpartition("/")[2]

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, to be written as JSON."""
        return vars(self) | {"figures": dict(self.figures)}


@functools.cache
def _all() -> tuple[PublishedModel, ...]:
    entries = json.loads(_LIST.read_text(encoding="utf-8"))
    return tuple(PublishedModel(**entry | {"figures": MappingProxyType(entry["figures"])}) for entry in entries)


def published_models(pattern: str = "*", *, family: str = "", dataset: str = "") -> tuple[PublishedModel, ...]:
    """Return the published networks, by name.

    Args:
        pattern: With ``*`` and ``?``; without them, a part of the name.
        family: Only of this family, however it is written: ``"pspnet"``.
        dataset: Only of data sets whose name begins so: ``"pascal context"``.

    Returns:
        Those that all three fit.

    Examples:
        >>> from segship.tools.zoo import published_models
        >>> found = published_models(family="segformer", dataset="cityscapes")
        >>> max(found, key=lambda model: model.figures.get("mIoU", 0)).name
        'segformer_mit-b5_8xb1-160k_cityscapes-1024x1024'
    """
    wanted = pattern if any(mark in pattern for mark in "*?[") else f"*{pattern}*"
    return tuple(
        model
        for model in _all()
        if fnmatch.fnmatchcase(model.name.lower(), wanted.lower())
        and (not family or _plain(family) == _plain(model.family))
        and _plain(model.dataset).startswith(_plain(dataset))
    )


def find_model(name: str) -> PublishedModel:
    """Return the published network called ``name``: by its config, or by its weights as 0.x called them.

    Args:
        name: Of the network.

    Returns:
        What is known of it.

    Raises:
        InputError: There is none; near names are suggested.

    Examples:
        >>> from segship.tools.zoo import find_model
        >>> find_model("pspnet_r50-d8_4xb2-40k_cityscapes-512x1024").dataset
        'Cityscapes'
    """
    wanted = Path(name).name.removesuffix(".py").removesuffix(".pth")
    for model in _all():
        if wanted in {model.name, Path(model.file).stem}:
            return model
    if holding := published_models(wanted):
        first = min(holding, key=lambda model: model.name.find(wanted)).name
        near = f" {len(holding)} names hold it, as {first!r}."
    else:
        near = did_you_mean(wanted, [model.name for model in _all()])
    raise InputError(f"no published network is called {name!r}.{near} `segship zoo list` shows all")


def _plain(text: str) -> str:
    return "".join(character for character in text.lower() if character.isalnum())
