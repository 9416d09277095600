"""Where trained networks come from: one file or folder for each framework.

A module of this package that defines ``FRAMEWORK`` is one; nothing else has to be told of it.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
from dataclasses import KW_ONLY, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from segship.core.errors import ConfigError, InputError, UnsupportedError, did_you_mean, validated
from segship.reading.advice import hub_advice, torch_file_advice

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping, Sequence

    from segship.core.augmentation import Augmentation
    from segship.core.files import FileDigest
    from segship.core.provenance import Provenance
    from segship.core.spec import ModelSpec
    from segship.networks.network import Network
    from segship.reading.normalization import Preset

Options: TypeAlias = "Mapping[str, Any] | Sequence[str] | None"
"""Overrides of a config: ``{"model.backbone.depth": 101}`` or ``["model.backbone.depth=101"]``."""

DescriptionLike: TypeAlias = "Path | Mapping[str, Any] | None"
"""What a network expects and means, where its own files do not say: a YAML file, or its content."""

_FUNCTION = "python:"
IGNORED = "Ignored, as you asked for: "
"""How notes begin that tell of options that were passed over."""

__all__ = [
    "IGNORED",
    "DescriptionLike",
    "Framework",
    "LoadRequest",
    "Loaded",
    "Options",
    "Source",
    "as_source",
    "find_source",
    "load",
    "load_network",
    "named_function",
    "require_checkpoint",
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
        normalize: How its images are normalised, where neither its files nor ``spec`` say: ``"imagenet"``, ``"unit"``
            (pixels / 255) or ``"none"`` (pixels of 0-255 as they are).
        trust: Load a checkpoint that can only be read by running the code it carries; run the user's own modules.
        ignore_unknown: Note options that the framework does not have instead of refusing them.
        random_weights: Take a network without trained weights where no checkpoint is named: for trials.

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
    normalize: Preset | None = None
    trust: bool = False
    ignore_unknown: bool = False
    random_weights: bool = False

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
        framework = _framework(request, self.source)
        with validated(str(self.config), ConfigError):
            return framework.load(request)

    def request(self, *, with_auxiliary: bool = False) -> LoadRequest:
        """Build the request for a framework's reader.

        Args:
            with_auxiliary: Build and load the heads that only training uses, too.

        Returns:
            The same, with paths, and the function of the user's that makes the network, if there is one.
        """
        path, description = Path(self.config), Path(self.spec) if isinstance(self.spec, str) else self.spec
        function = named_function(str(self.config))
        if self.source is not None and (named := named_function(self.source)) is not None:
            # Where nothing else is given, the command line has the function itself in the description's place.
            described = description is not None or function is not None
            function, description = named, description if described else path
        return LoadRequest(
            path,
            _path(self.checkpoint),
            self.cfg_options,
            description,
            function or "",
            with_auxiliary,
            self.trust,
            self.ignore_unknown,
            random_weights=self.random_weights,
            normalize=self.normalize,
        )


def as_source(source: Source | str | os.PathLike[str]) -> Source:
    """Turn a path into a source without options; leave a source as it is.

    Args:
        source: Either.
    """
    return source if isinstance(source, Source) else Source(source)


@dataclass(frozen=True)
class LoadRequest:
    """What a user asks a framework's reader for.

    Attributes:
        path: The config, folder or file.
        checkpoint: The trained weights where they lie elsewhere; None: where ``path`` says.
        options: Overrides of the config or of the description.
        description: What the network expects and means, where its own files do not say.
        entry: ``package.module:function`` that makes the network; empty for all other sources.
        with_auxiliary: Build and load the heads that only training uses, too.
        trust: Whether code that comes with the network may run.
        ignore_unknown: Whether options that the framework does not have are noted instead of refused.
        random_weights: Whether a network without trained weights will do.
        normalize: How images are normalised, where nothing else says it; for frameworks that `Framework.asks`.
    """

    path: Path
    checkpoint: Path | None = None
    options: Options = None
    description: DescriptionLike = None
    entry: str = ""
    with_auxiliary: bool = False
    trust: bool = False
    ignore_unknown: bool = False
    random_weights: bool = False
    normalize: Preset | None = None


def require_checkpoint(request: LoadRequest, what: str) -> None:
    """Refuse random weights that nobody asked for; to be called where no checkpoint is named or found.

    Args:
        request: What the user asks for.
        what: What was read, and what its trained weights are usually called.

    Raises:
        InputError: The user does not say that random weights will do.
    """
    if not request.random_weights:
        raise InputError(
            f"{what}: name the trained weights. For a trial without them, give --random-weights to segship export "
            "(in Python, Source(…, random_weights=True)): what comes of it computes nothing of use"
        )


@dataclass(frozen=True, eq=False)
class Loaded:
    """A trained network and what it means.

    Attributes:
        spec: What the network expects and means.
        network: float32 (N, C, H, W), normalised -> logits, in evaluation mode.
        notes: What a user should know, in sentences.
        origin: Name and digest of each file it comes from.
        denormals: How many weights were set to zero because they were denormal.
        provenance: From where each value of ``spec`` was read, and what was assumed.
        tta: The test-time augmentation of its config; None: not known.
    """

    spec: ModelSpec
    network: Network
    notes: tuple[str, ...] = ()
    origin: Mapping[str, FileDigest] = field(default_factory=dict)
    denormals: int = 0
    _: KW_ONLY
    provenance: Provenance
    tta: Augmentation | None = None


@dataclass(frozen=True)
class Framework:
    """How the networks of one framework are read: what a module of this package defines as ``FRAMEWORK``.

    Attributes:
        title: Name of the framework, for people.
        looks_for: What it recognises, to end a sentence with: ``"a .py config with model = dict(...)"``.
        recognises: Tells whether what lies at a path is of this framework; cheap, runs nothing, and never raises.
        load: Reads a network and what it means; raises a `SegshipError` where a file cannot be read, or what is asked
            for does not fit together.
        network: Reads the network alone, where that takes less than ``load``; None: it does not.
        asks: Whether its files often do not say how images are normalised, so that ``load`` asks for it.
        names: Architectures that are named in the place of a config, where no file has that name.
    """

    title: str
    looks_for: str
    recognises: Callable[[Path], bool]
    load: Callable[[LoadRequest], Loaded]
    network: Callable[[LoadRequest], Network] | None = None
    asks: bool = False
    names: frozenset[str] = frozenset()

    def load_network(self, request: LoadRequest) -> Network:
        """Read the network alone.

        Raises:
            SegshipError: As for ``load``.
        """
        return self.load(request).network if self.network is None else self.network(request)


@functools.cache
def sources() -> Mapping[str, Framework]:
    """Return all frameworks by name."""
    names = [entry.name for entry in pkgutil.iter_modules(__path__)]
    modules = {name: importlib.import_module(f"{__name__}.{name}") for name in names}
    return {name: module.FRAMEWORK for name, module in modules.items() if hasattr(module, "FRAMEWORK")}


def _framework(request: LoadRequest, name: str | None) -> Framework:
    """The framework whose reader a request is for.

    Raises:
        SegshipError: There is none, or it cannot be asked what is asked.
    """
    try:
        found = find_source(request.path, "python" if request.entry else name)
    except ConfigError:
        _require_order(request)
        raise
    if request.normalize is not None and not found.asks:
        raise InputError(
            f"{found.title} says itself how images are normalised: leave out --normalize {request.normalize} "
            "(normalize in Python), or change the value with --cfg-options"
        )
    return found


def _require_order(request: LoadRequest) -> None:
    """Name a config and a checkpoint that are given in each other's place.

    Raises:
        ConfigError: They are.
    """
    second = request.checkpoint
    if second is None or not request.path.is_file() or not second.exists():
        return
    if any(source.recognises(second) for source in sources().values()):
        raise ConfigError(f"{second} is the config and {request.path} the checkpoint: give the config first")


def named_function(source: str) -> str | None:
    """Return ``package.module:function`` of ``python:package.module:function``; None for other sources."""
    return source.removeprefix(_FUNCTION) if source.startswith(_FUNCTION) else None


def find_source(path: Path, name: str | None = None) -> Framework:
    """Return the framework called ``name``, or the one that recognises what lies at ``path``.

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
        return _named_architecture(path)
    for source in known.values():
        if source.recognises(path):
            return source
    kind = "The folder" if path.is_dir() else "The file"
    looked_for = "; ".join(f"{source.title}: {source.looks_for}" for source in known.values())
    raise ConfigError(
        f"{kind} {path} is not recognised{torch_file_advice(path)}. Looked for {looked_for}. "
        "--source NAME decides by name"
    )


def _named_architecture(path: Path) -> Framework:
    """The framework that has an architecture of this name, where there is no such file.

    Raises:
        ConfigError: None has.
    """
    known = sources().values()
    for source in known:
        if str(path) in source.names:
            return source
    near = did_you_mean(str(path), {name for source in known for name in source.names})
    raise ConfigError(f"{path} does not exist{hub_advice(path) or (near and f'.{near}')}")


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
    request = replace(given, random_weights=True).request(with_auxiliary=with_auxiliary)
    framework = _framework(request, given.source)
    with validated(str(given.config), ConfigError):
        return framework.load_network(request)


def load(
    config: str | Path,
    checkpoint: str | Path | None = None,
    *,
    source: str | None = None,
    cfg_options: Options = None,
    spec: str | Path | Mapping[str, Any] | None = None,
    normalize: Preset | None = None,
    with_auxiliary: bool = False,
    trust: bool = False,
    ignore_unknown: bool = False,
    random_weights: bool = False,
) -> Loaded:
    """Read a trained network and what it means.

    Args:
        config: The framework's config, folder or file; or ``python:package.module:function``.
        checkpoint: The trained weights; None: where ``config`` says.
        source: Name of the framework; None: recognised by what the config is. ``python:package.module:function`` takes
            the network from a function, and ``config`` is then the description of what it expects and means.
        cfg_options: Overrides of the config, as in `load_network`.
        spec: Description of what the network expects and means, where its files do not say: a YAML file or its content.
        normalize: How images are normalised, where nothing else says it, as in `Source`.
        with_auxiliary: Build and load the heads that only training uses, too.
        trust: Load a checkpoint even if that runs code that it carries; run the user's own modules.
        ignore_unknown: Note options that the framework does not have instead of refusing them.
        random_weights: Take random weights where ``config`` brings none.

    Raises:
        SegshipError: A file cannot be read, or the two do not belong together.
    """
    given = Source(
        config,
        checkpoint,
        source=source,
        cfg_options=cfg_options,
        spec=spec,
        normalize=normalize,
        trust=trust,
        ignore_unknown=ignore_unknown,
        random_weights=random_weights,
    )
    return given.load(with_auxiliary=with_auxiliary)


def _path(path: str | os.PathLike[str] | None) -> Path | None:
    return None if path is None else Path(path)
