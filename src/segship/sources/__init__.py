"""Where trained networks come from: one file or folder for each framework.

A module of this package is a `Framework`; nothing else has to be told of it.
"""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from segship.core.errors import ConfigError, InputError, UnsupportedError, did_you_mean

if TYPE_CHECKING:
    import os
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
    "Framework",
    "Loaded",
    "Options",
    "Request",
    "Source",
    "as_source",
    "find_source",
    "load",
    "load_network",
    "sources",
]


@dataclass(frozen=True)
class Source:
    """A trained network as its framework left it.

    Attributes:
        config: The framework's config, folder or file; or ``python:package.module:function``.
        checkpoint: The trained weights; None where ``config`` brings them.
        source: Name of the framework; None: recognised by what ``config`` is. ``python:package.module:function`` takes
            the network from a function, and ``config`` is then the description of what it expects and means.
        cfg_options: Overrides of the config or the description: ``{"model.backbone.depth": 101}`` or
            ``["model.backbone.depth=101"]``.
        spec: What the network expects and means, where its own files do not say: a YAML file or its content.
        trust: Load a checkpoint that can only be read by running the code it carries; run the user's own modules.
        ignore_unknown: Note options that the framework does not have instead of refusing them.

    Examples:
        >>> import segship
        >>> source = segship.Source("config.py", "weights.pth")
        >>> source.load().spec.classes
        ('road', 'wall', 'tree', 'sky')
    """

    config: str | os.PathLike[str]
    checkpoint: str | os.PathLike[str] | None = None
    _: KW_ONLY
    source: str | None = None
    cfg_options: Options = None
    spec: str | Path | Mapping[str, Any] | None = None
    trust: bool = False
    ignore_unknown: bool = False

    def load(self, *, with_auxiliary: bool = False) -> Loaded:
        """Read the network; needs torch.

        Args:
            with_auxiliary: Build and load the heads that only training uses, too.

        Returns:
            The network and what it means.

        Raises:
            SegshipError: A file cannot be read, or the two do not belong together.
        """
        request = self.request(with_auxiliary=with_auxiliary)
        return find_source(request.path, "python" if request.entry else self.source).load(request)

    def request(self, *, with_auxiliary: bool = False) -> Request:
        """What a framework's reader is asked for.

        Args:
            with_auxiliary: Build and load the heads that only training uses, too.

        Returns:
            The same, with paths, and the function of the user's that makes the network, if there is one.
        """
        path, description = Path(self.config), Path(self.spec) if isinstance(self.spec, str) else self.spec
        text = str(self.config)
        entry = text.removeprefix(ENTRY) if text.startswith(ENTRY) else ""
        if self.source is not None and self.source.startswith(ENTRY):
            # Where nothing else is given, the command line has the function itself in the description's place.
            described = description is not None or text.startswith(ENTRY)
            entry, description = self.source.removeprefix(ENTRY), description if described else path
        return Request(
            path,
            _path(self.checkpoint),
            self.cfg_options,
            description,
            entry,
            with_auxiliary,
            self.trust,
            self.ignore_unknown,
        )


def as_source(source: Source | str | os.PathLike[str]) -> Source:
    """A source as it is, a path as a source without options.

    Args:
        source: Either.
    """
    return source if isinstance(source, Source) else Source(source)


@dataclass(frozen=True)
class Request:
    """What a user asks a framework's reader for.

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


class Framework(Protocol):
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


def sources() -> dict[str, Framework]:
    """All sources by name."""
    names = [entry.name for entry in pkgutil.iter_modules(__path__)]
    modules: dict[str, Any] = {name: importlib.import_module(f"{__name__}.{name}") for name in names}
    return {name: module for name, module in modules.items() if hasattr(module, "recognises")}


def find_source(path: Path, name: str | None = None) -> Framework:
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
    config: Source | str | os.PathLike[str],
    checkpoint: str | os.PathLike[str] | None = None,
    *,
    cfg_options: Options = None,
    with_auxiliary: bool = False,
) -> Network:
    """Build a network, and load its trained weights.

    Args:
        config: The framework's config, folder or file; or a `segship.Source`, which says all but ``with_auxiliary``.
        checkpoint: The trained weights; None leaves them random, unless ``config`` brings them.
        cfg_options: Overrides of the config: ``{"model.backbone.depth": 101}`` or ``["model.backbone.depth=101"]``.
        with_auxiliary: Build and load the heads that only training uses, too.

    Returns:
        In evaluation mode; float32 (N, C, H, W), normalised -> logits (N, K, H, W).

    Raises:
        SegshipError: A file cannot be read, or the two do not belong together.
    """
    if isinstance(config, Source):
        if checkpoint is not None or cfg_options is not None:
            raise InputError("a Source names checkpoint and cfg_options itself: give them to it")
        given = config
    else:
        given = Source(config, checkpoint, cfg_options=cfg_options)
    request = given.request(with_auxiliary=with_auxiliary)
    framework = find_source(request.path, "python" if request.entry else given.source)
    # MMSegmentation's networks are there before their test pipeline is understood.
    alone: Callable[[Request], Network] | None = getattr(framework, "load_network", None)
    return framework.load(request).network if alone is None else alone(request)


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
    given = Source(
        config,
        checkpoint,
        source=source,
        cfg_options=cfg_options,
        spec=spec,
        trust=trust,
        ignore_unknown=ignore_unknown,
    )
    return given.load(with_auxiliary=with_auxiliary)


def _path(path: str | os.PathLike[str] | None) -> Path | None:
    return None if path is None else Path(path)
