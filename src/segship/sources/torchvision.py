"""Weights of torchvision's networks that label every pixel, by the name of the architecture.

The layers are torchvision's own; nothing is downloaded. Source: torchvision.models.segmentation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from segship.core.errors import ConfigError, MissingExtraError, SegshipError
from segship.core.files import digest
from segship.core.provenance import default
from segship.core.spec import ResizeEdges, SizeRule
from segship.models.initialise import FewRandomNumbers
from segship.networks.bounds import build_within_bounds
from segship.networks.wrapped import WrappedNetwork
from segship.reading.checkpoint import read_checkpoint
from segship.reading.description import Description, read_description
from segship.reading.documents import read_mapping
from segship.reading.normalization import DescribedNormalization
from segship.reading.weights import load_strict, require_same_keys
from segship.sources import Framework, Loaded, require_checkpoint

if TYPE_CHECKING:
    from pathlib import Path

    from segship.core.spec import ModelSpec
    from segship.sources import LoadRequest

__all__ = ["FRAMEWORK", "load", "recognises"]

# Each architecture, and the weights whose first axis is its classes.
_CLASSES = {
    "deeplabv3_mobilenet_v3_large": "classifier.4.weight",
    "deeplabv3_resnet101": "classifier.4.weight",
    "deeplabv3_resnet50": "classifier.4.weight",
    "fcn_resnet101": "classifier.4.weight",
    "fcn_resnet50": "classifier.4.weight",
    "lraspp_mobilenet_v3_large": "classifier.low_classifier.weight",
}
_ARCHITECTURE = "architecture"
_AUXILIARY = "aux_classifier."  # of training only
_SUFFIXES = frozenset({".json", ".yaml", ".yml"})
_MAXIMUM_BYTES = 2**20
_USUAL_CLASSES = 21  # of Pascal VOC, with which torchvision's own weights were trained
_SHORT = 520
_PRESET = "torchvision.transforms.SemanticSegmentation"


def recognises(path: Path) -> bool:
    """Return whether ``path`` is a JSON or YAML file whose ``architecture`` is one of torchvision's."""
    if path.suffix not in _SUFFIXES or not path.is_file() or path.stat().st_size > _MAXIMUM_BYTES:
        return False
    try:
        return read_mapping(path).get(_ARCHITECTURE) in _CLASSES
    except (SegshipError, OSError, TypeError):
        return False


def load(request: LoadRequest) -> Loaded:
    """Read weights by the name of their architecture, or by a small description that names it.

    A description of the user's (``--spec``) and options are laid over what torchvision does by default.
    """
    name, said = _read(request)
    if request.checkpoint is None:
        require_checkpoint(request, f"{name} of torchvision")
    weights = None if request.checkpoint is None else read_checkpoint(request.checkpoint, trust=request.trust)
    state = None if weights is None else _without_auxiliary(weights.state)
    classes = _count(name, state, said)
    network, denormals = _network(name, classes, state, what=str(request.checkpoint))
    spec, notes, provenance = _meaning(name, said, classes)
    origin = {} if weights is None else {weights.path.name: weights.digest}
    if request.path.is_file():
        origin[request.path.name] = digest(request.path)
    provenance = provenance.model_copy(update={"random_weights": weights is None})
    return Loaded(spec, network, notes, origin, denormals, provenance=provenance)


def _read(request: LoadRequest) -> tuple[str, Description]:
    """Name of the architecture, and what is said of its image and its classes."""
    name, values, own = str(request.path), {}, request.description
    if request.path.is_file():
        values = read_mapping(request.path)
        name = str(values.get(_ARCHITECTURE))
    if name not in _CLASSES:
        raise ConfigError(
            f"{name!r:.80} is no architecture of torchvision's: {', '.join(_CLASSES)} are, in SOURCE's place or as "
            f"{_ARCHITECTURE} in a YAML or JSON file"
        )
    place = request.path.name if values else "the description"
    if own is not None:
        values = values | (dict(own) if isinstance(own, dict) else read_mapping(own))  # type: ignore[arg-type]
        place = "the description"
    return name, read_description(values, request.options, place=place, normalize=request.normalize)


def _without_auxiliary(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {key: value for key, value in state.items() if not key.startswith(_AUXILIARY)}


def _count(name: str, state: dict[str, Tensor] | None, said: Description) -> int:
    """Number of classes: of the weights, else of the description."""
    found = None if state is None else state.get(_CLASSES[name])
    if found is not None and found.ndim > 0:
        return len(found)
    return said.count or _USUAL_CLASSES


class _Scores(nn.Module):
    """Scores before they are enlarged to the image, which the package does itself.

    Args:
        model: Of torchvision's.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.backbone, self.classifier = model.backbone, model.classifier

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, classes, h, w)."""
        features = self.backbone(x)
        scores: Tensor = self.classifier(features.get("out", features))
        return scores


def _network(name: str, classes: int, state: dict[str, Tensor] | None, *, what: str) -> tuple[WrappedNetwork, int]:
    """The network, and how many of its weights were set to zero because they were denormal."""
    try:
        from torchvision.models import get_model
    except (ImportError, RuntimeError) as error:  # that of another torch raises the second
        raise MissingExtraError("Reading networks of torchvision", "torchvision", "torchvision") from error

    def make() -> _Scores:
        with FewRandomNumbers():
            return _Scores(get_model(name, weights=None, weights_backbone=None, num_classes=classes))

    def check(bare: nn.Module) -> None:
        if state is not None:
            require_same_keys(bare, state, what=what)

    module = build_within_bounds(make, check)
    denormals = 0 if state is None else load_strict(module, state, what=what)
    network = WrappedNetwork(module, max(classes, 2), out_channels=classes, sizes=SizeRule())
    network.requires_grad_(requires_grad=False).eval()
    return network, denormals


def _meaning(name: str, said: Description, classes: int) -> tuple[ModelSpec, tuple[str, ...], Any]:
    """ModelSpec, notes and provenance."""
    readings: dict[str, Any] = {}
    if said.normalization is None or not (said.normalization.preset or said.normalization.says_numbers):
        order = said.normalization.channel_order if said.normalization else "rgb"
        usual = DescribedNormalization(preset="imagenet", channel_order=order)
        said = said.model_copy(update={"normalization": usual})
        readings = {"normalization": default(_PRESET), "channel_order": default(_PRESET)}
    architecture = f"torchvision.{name}"
    spec, notes, provenance = said.spec(source="torchvision", architecture=architecture, outputs=classes)
    spec = spec.model_copy(update={"architecture": architecture})
    if not said.geometry:
        note = (
            f"Images are resized as torchvision's preset does it, the short edge to {_SHORT}; a description says "
            "otherwise (geometry)"
        )
        step = ResizeEdges(short=_SHORT, interpolation="pillow_bilinear")
        spec, notes = spec.model_copy(update={"geometry": (step,)}), (*notes, note)
        readings["size_rule"] = default(_PRESET)
    return spec, notes, provenance.model_copy(update=readings)


FRAMEWORK = Framework(
    "torchvision",
    "the name of an architecture, as fcn_resnet50, or a YAML or JSON file with it (architecture), followed by weights",
    recognises,
    load,
    asks=True,
    names=frozenset(_CLASSES),
)
