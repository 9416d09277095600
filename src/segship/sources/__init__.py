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
    from collections.abc import Callable, Mapping, Sequence

    from segship.core.files import FileDigest
    from segship.core.spec import ModelSpec
    from segship.networks.network import Network

Options: TypeAlias = "Mapping[str, Any] | Sequence[str] | None"
"""Overrides of a config: ``{"model.backbone.depth": 101}`` or ``["model.backbone.depth=101"]``."""

Description: TypeAlias = "Path | Mapping[str, Any] | None"
"""What a network expects and means, where its own files do not say: a YAML file, or its content."""

ENTRY = "python:"
"""What a SOURCE begins with that is a function: ``python:package.module:function``."""

__all__ = [
    "ENTRY",
    "Description",
    "Loaded",
    "Options",
    "Request",
    "Source",
    "find_source",
    "load",
    "load_network",
    "sources",
]


@dataclass(frozen=True)
class Request:
    """What a user asks a source for.

    Attributes:
        path: The config, folder or file.
        checkpoint: The trained weights where they lie elsewhere; None: where ``path`` says, or random.
        options: Overrides of the config or of the description.
        description: What the network expects and means, where its own files do not say.
        entry: ``package.module:function`` that makes the network; empty for all other sources.
        with_auxiliary: Build and load the heads that only training uses, too.
        trust: Whether code that comes with the network may run.
        ignore_unknown: Whether options that the framework does not have are noted instead of refused.
    """

    path: Path
    checkpoint: Path | None = None
    options: Options = None
    description: Description = None
    entry: str = ""
    with_auxiliary: bool = False
    trust: bool = False
    ignore_unknown: bool = False


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
    network: Network
    notes: tuple[str, ...] = ()
    origin: Mapping[str, FileDigest] = field(default_factory=dict)
    denormals: int = 0


class Source(Protocol):
    """What a module of this package provides."""

    TITLE: str
    """Name of the framework, for people."""
    LOOKS_FOR: str
    """What it recognises, to end a sentence with: ``"a .py config with model = dict(...)"``."""

    def recognises(self, path: Path) -> bool:
        """Whether what lies at ``path`` is of this framework; cheap, runs nothing, and never raises."""

    def load(self, request: Request) -> Loaded:
        """The network and what it means.

        Raises:
            SegshipError: A file cannot be read, or what is asked for does not fit together.
        """


def sources() -> dict[str, Source]:
    """All sources by name."""
    names = [entry.name for entry in pkgutil.iter_modules(__path__)]
    modules: dict[str, Any] = {name: importlib.import_module(f"{__name__}.{name}") for name in names}
    return {name: module for name, module in modules.items() if hasattr(module, "recognises")}


def find_source(path: Path, name: str | None = None) -> Source:
    """The source called ``name``, or the one that recognises what lies at ``path``.

    Raises:
        UnsupportedError: No source has that name.
        ConfigError: Nothing lies at ``path``, or no source recognises it.
    """
    known = sources()
    if name is not None:
        if name not in known:
            raise UnsupportedError(
                f"no source is called {name!r}, known are {', '.join(known)}.{did_you_mean(name, known)}"
            )
        return known[name]
    if not path.exists():
        raise ConfigError(f"{path} does not exist")
    for source in known.values():
        if source.recognises(path):
            return source
    kind = "The folder" if path.is_dir() else "The file"
    looked_for = "; ".join(f"{source.TITLE}: {source.LOOKS_FOR}" for source in known.values())
    raise ConfigError(f"{kind} {path} is not recognised. Looked for {looked_for}. --source NAME decides by name")


def load_network(
    config: str | Path,
    checkpoint: str | Path | None = None,
    *,
    cfg_options: Options = None,
    with_auxiliary: bool = False,
) -> Network:
    """A network with its trained weights.

    Args:
        config: The framework's config, folder or file.
        checkpoint: The trained weights; None leaves them random, unless ``config`` brings them.
        cfg_options: Overrides of the config: ``{"model.backbone.depth": 101}`` or ``["model.backbone.depth=101"]``.
        with_auxiliary: Build and load the heads that only training uses, too.

    Returns:
        In evaluation mode; float32 (N, C, H, W), normalised -> logits (N, K, H, W).

    Raises:
        SegshipError: A file cannot be read, or the two do not belong together.
    """
    path = Path(config)
    source = find_source(path)
    request = Request(path, _path(checkpoint), cfg_options, with_auxiliary=with_auxiliary)
    # MMSegmentation's networks are there before their test pipeline is understood.
    alone: Callable[[Request], Network] | None = getattr(source, "load_network", None)
    return source.load(request).network if alone is None else alone(request)


def load(
    config: str | Path,
    checkpoint: str | Path | None = None,
    *,
    source: str | None = None,
    cfg_options: Options = None,
    spec: str | Path | Mapping[str, Any] | None = None,
    with_auxiliary: bool = False,
    trust: bool = False,
    ignore_unknown: bool = False,
) -> Loaded:
    """A trained network and what it means.

    Args:
        config: The framework's config, folder or file; or ``python:package.module:function``.
        checkpoint: The trained weights; None: where ``config`` says, else random.
        source: Name of the framework; None: recognised by what the config is. ``python:package.module:function`` takes
            the network from a function, and ``config`` is then the description of what it expects and means.
        cfg_options: Overrides of the config, as in `load_network`.
        spec: Description of what the network expects and means, where its files do not say: a YAML file or its content.
        with_auxiliary: Build and load the heads that only training uses, too.
        trust: Load a checkpoint even if that runs code that it carries; run the user's own modules.
        ignore_unknown: Note options that the framework does not have instead of refusing them.

    Raises:
        SegshipError: A file cannot be read, or the two do not belong together.
    """
    path, description = Path(config), Path(spec) if isinstance(spec, str) else spec
    entry = str(config).removeprefix(ENTRY) if str(config).startswith(ENTRY) else ""
    if source is not None and source.startswith(ENTRY):
        # Where nothing else is given, the command line has the function itself in the description's place.
        described = description is not None or str(config).startswith(ENTRY)
        entry, description = source.removeprefix(ENTRY), description if described else path
    name = "python" if entry else source
    request = Request(path, _path(checkpoint), cfg_options, description, entry, with_auxiliary, trust, ignore_unknown)
    return find_source(path, name).load(request)


def _path(path: str | Path | None) -> Path | None:
    return None if path is None else Path(path)
