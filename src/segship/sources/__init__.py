"""Where trained networks come from: one file or folder for each framework.

A module of this package is a `Source`; nothing else has to be told of it.
"""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from segship.core.errors import ConfigError, UnsupportedError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from segship.core.files import FileDigest
    from segship.core.spec import ModelSpec
    from segship.models.segmentor import EncoderDecoder

Options: TypeAlias = "Mapping[str, Any] | Sequence[str] | None"
"""Overrides of a config: ``{"model.backbone.depth": 101}`` or ``["model.backbone.depth=101"]``."""

__all__ = ["Loaded", "Options", "Source", "find_source", "load", "load_network", "sources"]


@dataclass(frozen=True, eq=False)
class Loaded:
    """A trained network and what it means.

    Attributes:
        spec: What the network expects and means.
        network: float32 (N, C, H, W), normalised -> logits, in evaluation mode.
        notes: What a user should know, in sentences.
        origin: Name and digest of each file it comes from.
        denormals: How many weights were set to zero because they were denormal.
    """

    spec: ModelSpec
    network: EncoderDecoder
    notes: tuple[str, ...] = ()
    origin: Mapping[str, FileDigest] = field(default_factory=dict)
    denormals: int = 0


class Source(Protocol):
    """What a module of this package provides."""

    TITLE: str
    """Name of the framework, for people."""
    LOOKS_FOR: str
    """What its configs look like, to end a sentence with: ``"a .py config with model = dict(...)"``."""

    def recognises(self, path: Path) -> bool:
        """Whether the config at ``path`` is of this framework; cheap, and never raises."""

    def load_network(
        self, config: Path, checkpoint: Path | None, *, cfg_options: Options, with_auxiliary: bool, trust: bool
    ) -> EncoderDecoder:
        """The network alone."""

    def load(
        self, config: Path, checkpoint: Path | None, *, cfg_options: Options, with_auxiliary: bool, trust: bool
    ) -> Loaded:
        """The network and what it means."""


def sources() -> dict[str, Source]:
    """All sources by name."""
    names = [entry.name for entry in pkgutil.iter_modules(__path__)]
    modules: dict[str, Any] = {name: importlib.import_module(f"{__name__}.{name}") for name in names}
    return {name: module for name, module in modules.items() if hasattr(module, "recognises")}


def find_source(config: Path, name: str | None = None) -> Source:
    """The source called ``name``, or the one that recognises ``config``.

    Raises:
        UnsupportedError: No source has that name.
        ConfigError: The config does not exist, or no source recognises it.
    """
    known = sources()
    if name is not None:
        if name not in known:
            raise UnsupportedError(
                f"no source is called {name!r}, known are {', '.join(known)}.{did_you_mean(name, known)}"
            )
        return known[name]
    if not config.exists():
        raise ConfigError(f"{config} does not exist")
    for source in known.values():
        if source.recognises(config):
            return source
    looked_for = "; ".join(f"{source.TITLE}: {source.LOOKS_FOR}" for source in known.values())
    raise ConfigError(f"{config} is not recognised. Looked for {looked_for}")


def load_network(
    config: str | Path,
    checkpoint: str | Path | None = None,
    *,
    cfg_options: Options = None,
    with_auxiliary: bool = False,
) -> EncoderDecoder:
    """A network of the zoo, with its trained weights.

    Args:
        config: The framework's config file.
        checkpoint: The trained weights; None leaves them random.
        cfg_options: Overrides of the config: ``{"model.backbone.depth": 101}`` or ``["model.backbone.depth=101"]``.
        with_auxiliary: Build and load the heads that only training uses, too.

    Returns:
        In evaluation mode; float32 (N, 3, H, W), normalised -> logits (N, C, H, W), as upstream's ``encode_decode``.

    Raises:
        SegshipError: A file cannot be read, or the two do not belong together.
    """
    path = Path(config)
    weights = None if checkpoint is None else Path(checkpoint)
    source = find_source(path)
    return source.load_network(path, weights, cfg_options=cfg_options, with_auxiliary=with_auxiliary, trust=False)


def load(
    config: str | Path,
    checkpoint: str | Path | None,
    *,
    source: str | None = None,
    cfg_options: Options = None,
    with_auxiliary: bool = False,
    trust: bool = False,
) -> Loaded:
    """A trained network and what it means.

    Args:
        config: The framework's config file.
        checkpoint: The trained weights; None leaves them random.
        source: Name of the framework; None: recognised by what the config is.
        cfg_options: Overrides of the config, as in `load_network`.
        with_auxiliary: Build and load the heads that only training uses, too.
        trust: Load a checkpoint even if that runs code that it carries.

    Raises:
        SegshipError: A file cannot be read, or the two do not belong together.
    """
    path = Path(config)
    weights = None if checkpoint is None else Path(checkpoint)
    module = find_source(path, source)
    return module.load(path, weights, cfg_options=cfg_options, with_auxiliary=with_auxiliary, trust=trust)
