"""Bundles of MONAI, two-dimensional ones: ``inference.json`` and ``metadata.json`` are read as data.

No expression of theirs (``$…``) runs: those that bundles commonly have are known, others are refused where they matter.
Source: monai.bundle.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, TypeAlias

from segship.core.errors import ConfigError, InputError, SegshipError, UnsupportedError, validated
from segship.core.files import digest
from segship.core.provenance import Provenance, default, read
from segship.core.spec import ModelSpec, SizeRule
from segship.datasets.class_names import named_classes
from segship.models.initialise import FewRandomNumbers
from segship.networks.bounds import MAXIMUM_NUMBER, build_within_bounds, number_beyond
from segship.networks.wrapped import WrappedNetwork
from segship.reading.checkpoint import read_checkpoint
from segship.reading.documents import read_mapping
from segship.reading.options import merge_options
from segship.reading.weights import load_strict, require_same_keys
from segship.sources import Framework, Loaded, require_checkpoint
from segship.sources.monai.library import NETWORKS, LibraryArguments, library_arguments, make, sizes_of
from segship.sources.monai.network import UNet, UNetArguments, WidthFirst
from segship.sources.monai.transforms import (
    read_inferer,
    read_postprocessing,
    read_preprocessing,
    target,
    without_places,
)

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from torch import Tensor, nn

    from segship.core.files import FileDigest
    from segship.core.spec import Padding, Slide
    from segship.reading.checkpoint import Checkpoint
    from segship.sources import LoadRequest
    from segship.sources.monai.transforms import Decision, Prepared

__all__ = ["FRAMEWORK", "load", "recognises"]

_Arguments: TypeAlias = UNetArguments | LibraryArguments
_CONFIGS = ("inference.json", "inference.yaml", "inference.yml")
_METADATA = "metadata.json"
_WEIGHTS = re.compile(r"\$@bundle_root \+ ['\"]/?((?:[\w-]+/)*[\w-]+\.(?:pt|pth))['\"]")
_REFERENCE = re.compile(r"@([\w#:]+)")
_NETWORKS = ("network_def", "network", "net", "model")
_MAXIMUM_BYTES = 2**22
_MOST_REFERENCES = 16
_PLANE = 2


def recognises(path: Path) -> bool:
    """Return whether ``path`` is a bundle's folder, or its ``configs/inference.json``, which names a network."""
    file = _config(path)
    if file is None or file.stat().st_size > _MAXIMUM_BYTES:
        return False
    try:
        values = read_mapping(file)
    except (SegshipError, OSError):
        return False
    return any(target(values.get(name)) for name in _NETWORKS)


def _config(path: Path) -> Path | None:
    if path.is_file():
        return path if path.name in _CONFIGS else None
    found = [path / folder / name for folder in ("configs", ".") for name in _CONFIGS]
    return next((file for file in found if file.is_file()), None)


def load(request: LoadRequest) -> Loaded:
    """Read a bundle's network, and what its inputs and outputs mean; options are laid over ``inference.json``."""
    if request.description is not None:
        raise InputError("the bundle's own files say what the network expects: leave out --spec")
    file = _config(request.path)
    if file is None:
        raise ConfigError(f"{request.path} has no configs/inference.json")
    values = merge_options(read_mapping(file), request.options or {})
    said = _network_arguments(values, file)
    prepared = read_preprocessing(_part(values, "preprocessing", file), said.in_channels)
    slide, padding = read_inferer(_part(values, "inferer", file), transposed=prepared.transposed)
    said = _with_window(said, slide, transposed=prepared.transposed)
    decision = read_postprocessing(_part(values, "postprocessing", file), said.out_channels)
    checkpoint = request.checkpoint or _weights(values, _root(file))
    weights = _read(request, checkpoint)
    network, denormals = _network(said, prepared, None if weights is None else weights.state, str(checkpoint))
    metadata = file.parent / _METADATA
    names = _names(read_mapping(metadata), said.out_channels) if metadata.is_file() else ()
    spec, notes = _spec(file, said, prepared, decision, names, slide, padding)
    origin = _digests((file, metadata), weights)
    provenance = _provenance(file.name, decision, named=bool(names))
    provenance = provenance.model_copy(update={"random_weights": weights is None})
    return Loaded(spec, network, notes, origin, denormals, provenance=provenance)


def _root(file: Path) -> Path:
    """The bundle's folder."""
    return file.parent.parent if file.parent.name == "configs" else file.parent


def _with_window(said: _Arguments, slide: Slide | None, *, transposed: bool) -> _Arguments:
    """The network's arguments with the size of the inferer's windows, which some networks are made for."""
    if slide is None or not isinstance(said, LibraryArguments):
        return said
    return said._replace(window=slide.crop[::-1] if transposed else slide.crop)


def _read(request: LoadRequest, checkpoint: Path) -> Checkpoint | None:
    """The weights; None: there are none, and random ones were asked for."""
    if request.checkpoint is None and not checkpoint.is_file():
        require_checkpoint(request, f"{checkpoint} does not exist")
        return None
    return read_checkpoint(checkpoint, trust=request.trust)


def _digests(files: Iterable[Path], weights: Checkpoint | None) -> dict[str, FileDigest]:
    """What the network was read from."""
    told = {} if weights is None else {weights.path.name: weights.digest}
    return {one.name: digest(one) for one in files if one.is_file()} | told


def _resolve(value: Any, values: dict[str, Any], file: Path, place: str, depth: int = 0) -> Any:
    """A value whose references (``@name``) are what they name; expressions (``$…``) are refused."""
    if depth > _MOST_REFERENCES:
        raise ConfigError(f"{file}: {place} refers to itself, or is nested too deeply")
    if isinstance(value, dict):
        return {key: _resolve(one, values, file, f"{place}.{key}", depth + 1) for key, one in value.items()}
    if isinstance(value, list):
        return [_resolve(one, values, file, place, depth + 1) for one in value]
    if isinstance(value, str) and (match := _REFERENCE.fullmatch(value)):
        found = _referred(re.split("#|::", match[1]), values, f"{file}: {place} refers to {value:.60}")
        return _resolve(found, values, file, place, depth + 1)
    if isinstance(value, str) and value.startswith("$") and place.rsplit(".", 1)[-1] not in {"device", "sw_device"}:
        raise UnsupportedError(
            f"{file}: {place} is the expression {value!r:.80}, which is not run: give its value, --cfg-options "
            f"{place}=VALUE"
        )
    return value


def _referred(names: list[str], values: dict[str, Any], what: str) -> Any:
    """What a reference names."""
    found: Any = values
    for name in names:
        if isinstance(found, list) and name.isdigit() and int(name) < len(found):
            found = found[int(name)]
        elif isinstance(found, dict) and name in found:
            found = found[name]
        else:
            raise ConfigError(f"{what}, which is not there")
    return found


def _part(values: dict[str, Any], name: str, file: Path) -> Any:
    """A part of the config, resolved; None where there is none."""
    if name not in values:
        return None
    return _resolve(without_places(values[name]), values, file, name)


def _network_arguments(values: dict[str, Any], file: Path) -> _Arguments:
    name = next((name for name in _NETWORKS if target(values.get(name))), None)
    if name is None:
        raise ConfigError(f"{file} has no network: expected one of {', '.join(_NETWORKS)} with _target_")
    said = _resolve(values[name], values, file, name)
    kind = target(said)
    _require_known(kind, file)
    arguments = {key: value for key, value in said.items() if not key.startswith("_")}
    usual = _PLANE if kind in {"FlexUNet", "FlexibleUNet"} else None
    dimensions = arguments.pop("dimensions", arguments.get("spatial_dims", usual))
    if dimensions != _PLANE:
        raise UnsupportedError(
            f"{file}: the network has spatial_dims {dimensions!r:.20}: only two-dimensional networks can be exported"
        )
    if number_beyond(arguments) is not None:
        raise ConfigError(f"{file}: the network has a number beyond {MAXIMUM_NUMBER}: no real one has")
    if kind in NETWORKS:
        return library_arguments(kind, arguments | {"spatial_dims": _PLANE}, str(file))
    with validated(str(file), ConfigError):
        return UNetArguments.model_validate(arguments | {"spatial_dims": _PLANE})


def _require_known(kind: str, file: Path) -> None:
    if kind not in {"UNet", "Unet", *NETWORKS}:
        known = ", ".join(["UNet", *sorted(NETWORKS)])
        raise UnsupportedError(f"{file}: the network is {kind!r:.60}, which is not provided; provided are {known}")


def _weights(values: dict[str, Any], root: Path) -> Path:
    """The checkpoint that the bundle names, by its common expression, or has by custom."""
    match = _WEIGHTS.fullmatch(str(values.get("ckpt_path", values.get("load_path", ""))).strip())
    return root / (match[1] if match else "models/model.pt")


def _network(
    said: _Arguments, prepared: Prepared, state: dict[str, Tensor] | None, what: str
) -> tuple[WrappedNetwork, int]:
    """The network, and how many of its weights were set to zero because they were denormal."""
    rules: list[SizeRule] = []

    def made() -> nn.Module:
        if isinstance(said, LibraryArguments):
            return make(said)
        with FewRandomNumbers():
            return UNet(said)

    def check(bare: nn.Module) -> None:
        if state is not None:
            require_same_keys(bare, state, what=what)
        rules.append(sizes_of(bare, said) if isinstance(said, LibraryArguments) else _sizes(said))

    module = build_within_bounds(made, check)
    denormals = 0 if state is None else load_strict(module, state, what=what)
    sizes = rules[0]
    if prepared.transposed:
        module = WidthFirst(module)
        sizes = SizeRule(
            fixed=None if sizes.fixed is None else (sizes.fixed[1], sizes.fixed[0]),
            multiple_of=sizes.multiple_of,
            minimum=(sizes.minimum[1], sizes.minimum[0]),
        )
    classes = max(said.out_channels, 2)
    network = WrappedNetwork(module, classes, out_channels=said.out_channels, sizes=sizes)
    network.requires_grad_(requires_grad=False).eval()
    return network, denormals


def _sizes(said: UNetArguments) -> SizeRule:
    steps = said.strides[: len(said.channels) - 1]
    sides = [math.prod(one if isinstance(one, int) else one[side] for one in steps) for side in range(_PLANE)]
    return SizeRule(multiple_of=math.lcm(*sides))


def _names(metadata: dict[str, Any], channels: int) -> tuple[str, ...]:
    """Names of the classes, where the metadata name as many."""
    outputs = metadata.get("network_data_format", {})
    outputs = outputs.get("outputs", {}) if isinstance(outputs, dict) else {}
    first = next((one for one in outputs.values() if isinstance(one, dict)), {}) if isinstance(outputs, dict) else {}
    said = first.get("channel_def", {})
    count = max(channels, 2)
    if channels == 1 and isinstance(said, dict) and len(said) == 1:
        return ("background", str(next(iter(said.values()))))
    if not isinstance(said, dict) or sorted(said) != sorted(map(str, range(count))):
        return ()
    return tuple(str(said[str(number)]) for number in range(count))


def _spec(
    file: Path,
    said: _Arguments,
    prepared: Prepared,
    decision: Decision,
    names: tuple[str, ...],
    slide: Slide | None,
    padding: Padding | None,
) -> tuple[ModelSpec, tuple[str, ...]]:
    classes = named_classes(max(said.out_channels, 2), names)
    notes = list(classes.notes)
    if not decision.said:
        notes.append("Nothing in the bundle decides labels (AsDiscrete): the greatest score does")
    with validated(str(file), ConfigError):
        spec = ModelSpec(
            source="monai",
            architecture=said.name
            if isinstance(said, LibraryArguments)
            else f"UNet({'-'.join(map(str, said.channels))})",
            classes=classes.names,
            palette=classes.palette,
            geometry=prepared.geometry,
            normalization=prepared.normalization,
            pixels="uint8" if said.in_channels == 3 else "multispectral",  # noqa: PLR2004
            padding=padding,
            slide=slide,
            output="sigmoid" if decision.sigmoid else "softmax",
            threshold=decision.threshold,
        )
    return spec, tuple(notes)


def _provenance(config: str, decision: Decision, *, named: bool) -> Provenance:
    output = read(f"{config}: postprocessing")
    decided = output if decision.said else default("the greatest score is the label")
    return Provenance(
        channel_order=default("MONAI reads pictures as RGB"),
        normalization=read(f"{config}: preprocessing"),
        size_rule=read(f"{config}: preprocessing"),
        padding=read(f"{config}: inferer"),
        inference=read(f"{config}: inferer"),
        output=decided,
        threshold=decided,
        classes=read(f"{_METADATA}: network_data_format") if named else default("as many as the network has"),
        palette=default("made for as many classes"),
    )


FRAMEWORK = Framework(
    "MONAI",
    "a bundle's folder with configs/inference.json and models/model.pt",
    recognises,
    load,
)
