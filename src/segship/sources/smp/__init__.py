"""Networks of segmentation_models_pytorch: folders that ``save_pretrained`` wrote, or weights with a small description.

The layers are the library's own; nothing is downloaded, and nothing that comes with a folder runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from segship.core.errors import CheckpointError, ConfigError, SegshipError
from segship.core.files import digest
from segship.core.provenance import default
from segship.core.spec import Padding, Resize, SizeRule
from segship.reading.checkpoint import read_checkpoint
from segship.reading.description import Description, read_description
from segship.reading.documents import read_mapping
from segship.reading.options import merge_options
from segship.sources import IGNORED, Framework, Loaded, require_checkpoint
from segship.sources.smp.network import ARCHITECTURES, build, known_options, require_library
from segship.sources.smp.statistics import statistics

if TYPE_CHECKING:
    from pathlib import Path

    from segship.core.spec import ModelSpec
    from segship.sources import LoadRequest
    from segship.sources.smp.network import Built

__all__ = ["FRAMEWORK", "load", "recognises"]

_CONFIG, _WEIGHTS = "config.json", "model.safetensors"
_CLASS, _ARCHITECTURE = "_model_class", "architecture"
_SUFFIXES = frozenset({".json", ".yaml", ".yml"})
_MAXIMUM_BYTES = 2**20
_RGB = 3


def recognises(path: Path) -> bool:
    """Return whether ``path`` is a folder that ``save_pretrained`` wrote, its config, or a small description.

    A description is JSON or YAML that names ``_model_class``, or ``architecture`` and ``encoder_name``.
    """
    file = path / _CONFIG if path.is_dir() else path
    if file.suffix not in _SUFFIXES or not file.is_file() or file.stat().st_size > _MAXIMUM_BYTES:
        return False
    try:
        values = read_mapping(file)
    except (SegshipError, OSError):
        return False
    return _named(values) is not None and (_CLASS in values or "encoder_name" in values)


def load(request: LoadRequest) -> Loaded:
    """Read the network of a folder or a description, and what its inputs and outputs mean.

    A description of the user's (``--spec``) and options are laid over both: names of the library's own
    (``activation=sigmoid``) and those that every description knows (``classes=[road,wall]``, ``normalization.mean=…``).
    """
    require_library()
    told = _read(request)
    checkpoint = request.checkpoint or _beside(told.file)
    if checkpoint is None:
        require_checkpoint(request, f"{told.file.parent} has no {_WEIGHTS}")
    weights = None if checkpoint is None else read_checkpoint(checkpoint, trust=request.trust)
    state = None if weights is None else weights.state
    built = build(told.architecture, told.options, state, what=str(checkpoint))
    spec, notes, provenance = _meaning(told, built)
    origin = {told.file.name: digest(told.file)}
    if weights is not None:
        origin[weights.path.name] = weights.digest
    provenance = provenance.model_copy(update={"random_weights": weights is None, "ignored": told.ignored})
    ignored = tuple(f"{IGNORED}{sentence}" for sentence in told.ignored)
    return Loaded(spec, built.network, (*notes, *ignored), origin, built.denormals, provenance=provenance)


@dataclass(frozen=True)
class _Told:
    """What the files and options say.

    Attributes:
        file: The config, or the small description.
        architecture: Name of the library's class.
        options: Its arguments.
        description: What is said of inputs and outputs.
        ignored: A sentence for each argument that is not known and was passed over.
    """

    file: Path
    architecture: str
    options: dict[str, Any]
    description: Description
    ignored: tuple[str, ...]


def _named(values: dict[str, Any]) -> str | None:
    """The library's class that a config or description names."""
    name = values.get(_CLASS, values.get(_ARCHITECTURE))
    return name if isinstance(name, str) and name in ARCHITECTURES else None


def _read(request: LoadRequest) -> _Told:
    file = request.path / _CONFIG if request.path.is_dir() else request.path
    values = read_mapping(file)
    architecture = _named(values)
    if architecture is None:
        raise ConfigError(
            f"{file} names no network of segmentation_models_pytorch: expected {_CLASS} (or architecture) to be one of "
            f"{', '.join(sorted(ARCHITECTURES))}"
        )
    names = values.pop("classes", None)
    values = {key: value for key, value in values.items() if key not in {_CLASS, _ARCHITECTURE}}
    described = {key: values.pop(key) for key in Description.model_fields.keys() & values.keys()}
    changes = merge_options({}, request.options or {})
    laid = {key: changes.pop(key) for key in Description.model_fields.keys() & changes.keys()}
    options, ignored = known_options(
        architecture, merge_options(values, changes), str(file), ignore=request.ignore_unknown
    )
    if isinstance(names, (list, tuple)):
        described["classes"] = names
    description = _description(request, described, laid, file)
    count = len(names) if isinstance(names, (list, tuple)) else names
    if count is not None:
        options["classes"] = count if count != _BINARY or names is count else _binary_or_two(description, count)
    return _Told(file, architecture, options, description, ignored)


_BINARY = 2


def _binary_or_two(description: Description, count: int) -> int:
    """Two named classes of a sigmoid are one channel."""
    return 1 if description.output == "sigmoid" else count


def _description(request: LoadRequest, described: dict[str, Any], laid: dict[str, Any], file: Path) -> Description:
    """What is said of inputs and outputs: by the file, the user's description, and options, the last first."""
    given = request.description
    if not described and given is not None:
        return read_description(given, laid, normalize=request.normalize)
    more = {} if given is None else dict(given) if isinstance(given, dict) else read_mapping(given)  # type: ignore[arg-type]
    return read_description(described | more, laid, place=file.name, normalize=request.normalize)


def _beside(file: Path) -> Path | None:
    """The weights that ``save_pretrained`` writes beside its config."""
    found = file.parent / _WEIGHTS
    if file.name != _CONFIG:
        return None
    if not found.is_file() and (file.parent / "pytorch_model.bin").is_file():
        found = file.parent / "pytorch_model.bin"
    if not found.is_file() and any(file.parent.glob("*.safetensors")):
        raise CheckpointError(f"{file.parent} has no {_WEIGHTS}, but other weights: name those you mean")
    return found if found.is_file() else None


def _meaning(told: _Told, built: Built) -> tuple[ModelSpec, tuple[str, ...], Any]:
    """ModelSpec, notes and provenance."""
    said, notes = told.description, list(built.notes)
    usual = None
    if said.normalization is None or not (said.normalization.preset or said.normalization.says_numbers):
        usual = statistics(told.options, built.channels, told.file.name)
        if usual is not None:
            order = said.normalization.channel_order if said.normalization else "rgb"
            changed = usual.normalization.model_copy(update={"channel_order": order})
            said = said.model_copy(update={"normalization": changed})
            notes += usual.notes
    spec, more, provenance = said.spec(
        source="smp",
        architecture=f"{told.architecture}({told.options['encoder_name']})",
        outputs=built.network.out_channels,
        channels=built.channels,
        returns=built.returns,
    )
    found: dict[str, Any] = {"align_corners": built.network.align_corners}
    readings: dict[str, Any] = {}
    if usual is not None:
        readings |= {"normalization": usual.reading, "channel_order": default("the library's encoders take RGB")}
    if spec.output == "sigmoid" and "threshold" not in said.model_fields_set:
        readings["threshold"] = default("the library's metrics and examples take one half")
    if not said.geometry and not said.padding:
        placed, reading, told_sizes = _sizes(built.network.sizes)
        found |= placed
        readings |= reading
        notes += told_sizes
    return spec.model_copy(update=found), (*more, *notes), provenance.model_copy(update=readings)


def _sizes(sizes: SizeRule) -> tuple[dict[str, Any], dict[str, Any], tuple[str, ...]]:
    """How images of any size are brought to one that the network takes, where nobody says it."""
    if sizes.fixed is not None:
        height, width = sizes.fixed
        note = (
            f"This encoder takes images of {height}x{width} (height x width) only: every image is resized to that; a "
            "description says otherwise (geometry)"
        )
        return {"geometry": (Resize(height=height, width=width),)}, {"size_rule": default(note)}, (note,)
    readings = {"size_rule": default("the library resizes no image")}
    if sizes == SizeRule():
        return {}, readings, ()
    note = (
        f"The network takes images of {sizes}: others are padded at the bottom and right with the mean colour, and the "
        "mask is cut again; a description says otherwise (padding, geometry)"
    )
    rows, columns = sizes.minimum
    padding = Padding(multiple_of=sizes.multiple_of)
    if sizes.minimum != (1, 1):
        padding = padding.model_copy(update={"height": rows, "width": columns})
    return {"padding": padding}, readings | {"padding": default(f"the network takes {sizes}")}, (note,)


FRAMEWORK = Framework(
    "segmentation_models_pytorch",
    "a folder that save_pretrained wrote (config.json with _model_class, model.safetensors), or a YAML or JSON file "
    "with architecture and encoder_name, followed by weights",
    recognises,
    load,
    asks=True,
)
