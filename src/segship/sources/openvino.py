"""Models of OpenVINO (IR: ``.xml`` and ``.bin``) whose output is scores (N, K, h, w) or labels (N, H, W)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from segship.backends.openvino import inspect
from segship.core.errors import ConfigError, InputError
from segship.core.files import digest
from segship.networks.openvino import OpenvinoNetwork
from segship.reading.documents import read_mapping
from segship.reading.graph_description import LocatedDescription, describe_graph, find_description
from segship.reading.ultralytics import read_ultralytics
from segship.sources import Framework, Loaded

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from segship.sources import LoadRequest

__all__ = ["FRAMEWORK", "load", "recognises"]


_HEAD = 4096
_YES = {"yes", "true", "1"}
_ITS_OWN = (
    "The network comes as a model of OpenVINO and was compared with itself, run in float32: that it computes what was "
    "trained is for its maker to say."
)


def recognises(path: Path) -> bool:
    """Return whether ``path`` is a model's ``.xml``, or a folder that holds one."""
    try:
        found = _model(path)
        if found is None:
            return False
        with found.open("rb") as file:
            return b"<net" in file.read(_HEAD)
    except OSError:
        return False


def _model(path: Path) -> Path | None:
    """The ``.xml`` that is meant."""
    if path.is_dir():
        found = sorted(path.glob("*.xml"))
        return found[0] if len(found) == 1 and found[0].with_suffix(".bin").is_file() else None
    return path if path.suffix == ".xml" and path.is_file() else None


def load(request: LoadRequest) -> Loaded:
    """Read the model, and what its description says of it.

    The description is the one named (``--spec``), else ``NAME.yaml`` beside the file, else what the model itself or
    Ultralytics' ``metadata.yaml`` says. Options are laid over it; ``output_name=NAME`` chooses among several outputs.
    """
    path = _model(request.path)
    if path is None:
        raise InputError(f"{request.path} is no model of OpenVINO: expected {FRAMEWORK.looks_for}")
    engine, metadata = inspect(path)
    found = find_description(request.description, path, metadata) or _own_description(path, metadata)
    graph = describe_graph(path, (engine.inputs, engine.outputs), found, request.options, request.normalize)
    network = OpenvinoNetwork(path, engine.outputs.index(graph.output), sizes=graph.sizes, last=graph.last)
    spec, notes, provenance = graph.settle(network, "openvino", path.stem)
    files = [path.parent / name for name in engine.files]
    origin = {file.name: digest(file) for file in (*files, *found.files)}
    told = (*notes, *found.notes, *_quantized(network), _ITS_OWN)
    return Loaded(spec, network, told, origin, provenance=provenance)


def _quantized(network: OpenvinoNetwork) -> tuple[str, ...]:
    count = network.quantized
    return (f"The model is quantised already: {count} of its operations round to a few levels.",) if count else ()


def _own_description(path: Path, metadata: Mapping[str, str]) -> LocatedDescription:
    """What Ultralytics' ``metadata.yaml`` beside the model says, else what the model itself says."""
    file = path.with_name("metadata.yaml")
    if file.is_file() and (said := read_ultralytics(read_mapping(file), path)) is not None:
        return LocatedDescription(said, (file,), place=file.name)
    return _model_info(metadata, path)


def _model_info(metadata: Mapping[str, str], path: Path) -> LocatedDescription:
    """What stands under ``model_info``, which OpenVINO's Model API and its training tools write.

    Raises:
        ConfigError: A number of it is none.
    """
    info = {key.removeprefix("model_info."): value for key, value in metadata.items()}
    said: dict[str, Any] = {"classes": labels} if (labels := info.get("labels", "").split()) else {}
    place = f"{path.name}: model_info"
    means, deviations = (_numbers(info.get(name, ""), path) for name in ("mean_values", "scale_values"))
    if info.get("embedded_processing", "").lower() in _YES:
        said["normalization"] = {"preset": "none"}  # the network itself normalises
    elif means or deviations:
        many = max(len(means), len(deviations), 3)
        said["normalization"] = {"mean": _spread(means, many, 0.0), "std": _spread(deviations, many, 1.0)}
    order = info.get("reverse_input_channels")
    if order is None:
        return LocatedDescription(said, place=place)
    if order.lower() in _YES:
        if "normalization" in said:
            said["normalization"]["channel_order"] = "rgb"
        return LocatedDescription(said, place=place)
    note = (
        f"The model says reverse_input_channels={order}, which leaves open whether it was trained on RGB or BGR: it is "
        "given RGB; --cfg-options normalization.channel_order=bgr changes that."
    )
    return LocatedDescription(said, notes=(note,), place=place)


def _numbers(text: str, path: Path) -> list[float]:
    try:
        return [float(word) for word in text.replace(",", " ").split()]
    except ValueError:
        raise ConfigError(f"{path}: {text!r:.60} under model_info is not a list of numbers") from None


def _spread(numbers: list[float], many: int, otherwise: float) -> list[float]:
    """One number for each channel; one alone counts for all."""
    return numbers * many if len(numbers) == 1 else numbers or [otherwise] * many


FRAMEWORK = Framework(
    "OpenVINO",
    "an .xml file of OpenVINO's with its .bin beside, or a folder with one such pair",
    recognises,
    load,
    asks=True,
)
