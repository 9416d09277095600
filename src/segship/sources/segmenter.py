"""Networks trained with Segmenter's own code (rstrudel/segmenter): ``variant.yml`` beside ``checkpoint.pth``.

Source: Segmenter (arXiv:2105.05633). The training writes what it was told into ``variant.yml``; its inference enlarges
an image until its short edge fills a window, slides the window, and averages the scores.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Literal

import torch.nn.functional as F

from segship.core.errors import CheckpointError, ConfigError, UnsupportedError, did_you_mean, validation_line
from segship.core.files import digest
from segship.core.frozen import Frozen, Positive
from segship.core.mistakes import ValidationError
from segship.core.provenance import Provenance, assumed, default, read
from segship.core.spec import ModelSpec, Normalization, ResizeEdges, SizeRule, Slide
from segship.datasets.class_names import layout_of, named_classes, numbered_classes
from segship.models.backbones.vit import VisionTransformer
from segship.models.heads.fcn import FCNHead
from segship.models.heads.segmenter import SegmenterMaskTransformerHead
from segship.models.initialise import FewRandomNumbers
from segship.models.segmentor import EncoderDecoder
from segship.networks.bounds import MAXIMUM_NUMBER, build_within_bounds, number_beyond
from segship.networks.resample import resize
from segship.reading.checkpoint import read_checkpoint
from segship.reading.documents import read_mapping
from segship.reading.key_rules import rename
from segship.reading.options import merge_options
from segship.reading.origins import segmenter as keys
from segship.reading.weights import load_strict, require_same_keys
from segship.sources import IGNORED, Framework, Loaded, require_checkpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from torch import Tensor, nn

    from segship.sources import LoadRequest

__all__ = ["FRAMEWORK", "Segmenter", "load", "recognises"]


_VARIANT, _CHECKPOINT = "variant.yml", "checkpoint.pth"
_WEIGHTS = frozenset({".pth", ".pt", ".safetensors"})
_HEAD_WIDTH = 64  # of one attention head in the mask transformer
_EXPANSION = 4  # of the feed-forward networks
_STATISTICS = {  # of pixels in 0-1
    "vit": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    "deit": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
}


class _Part(Frozen):
    """A part of the variant. What only training reads has the type Any; what is not named here is an error."""


class _Decoder(_Part):
    name: Literal["linear", "mask_transformer"]
    n_layers: Positive = 2
    dropout: Any = None
    drop_path_rate: Any = None


class _Net(_Part):
    image_size: tuple[Positive, Positive]
    patch_size: Positive
    d_model: Positive
    n_heads: Positive
    n_layers: Positive
    n_cls: Positive
    decoder: _Decoder
    backbone: str = "ViT"
    distilled: bool = False
    normalization: Literal["vit", "deit"] = "vit"
    dropout: Any = None
    drop_path_rate: Any = None


class _Data(_Part):
    dataset: str = ""
    normalization: Literal["vit", "deit"] | None = None
    batch_size: Any = None
    crop_size: Any = None
    image_size: Any = None
    num_workers: Any = None
    split: Any = None


class _Inference(_Part):
    window_size: Positive
    window_stride: Positive
    im_size: Any = None


class _Variant(_Part):
    net_kwargs: _Net
    dataset_kwargs: _Data = _Data()
    inference_kwargs: _Inference
    algorithm_kwargs: Any = None
    amp: Any = None
    log_dir: Any = None
    optimizer_kwargs: Any = None
    resume: Any = None
    version: Any = None
    world_batch_size: Any = None


_PARTS: dict[str, type[Frozen]] = {
    "": _Variant,
    "dataset_kwargs": _Data,
    "inference_kwargs": _Inference,
    "net_kwargs": _Net,
    "net_kwargs.decoder": _Decoder,
}


class Segmenter(EncoderDecoder):
    """A vision transformer and a decoder; images are padded to whole patches and the margin cut off again.

    Args:
        backbone, decode_head: As `EncoderDecoder`.
        patch_size: Side of a patch in pixels.
    """

    def __init__(self, backbone: nn.Module, decode_head: nn.Module, patch_size: int) -> None:
        super().__init__(backbone, decode_head)
        self.patch_size = patch_size

    @property
    def sizes(self) -> SizeRule:
        """Whole patches."""
        return SizeRule(multiple_of=self.patch_size)

    def forward(self, x: Tensor) -> Tensor:
        """float32 (N, 3, H, W), normalised, of any size -> logits (N, C, H, W)."""
        height, width = x.shape[2:]
        x = F.pad(x, (0, -width % self.patch_size, 0, -height % self.patch_size))
        return resize(self.logits(x), x.shape[2:])[:, :, :height, :width]


def recognises(path: Path) -> bool:
    """Return whether ``path`` is a folder with ``variant.yml``, that file, or weights beside it."""
    if path.is_file() and path.name != _VARIANT and path.suffix not in _WEIGHTS:
        return False
    folder = path if path.is_dir() else path.parent
    return (folder / _VARIANT).is_file()


def load(request: LoadRequest) -> Loaded:
    """Read the network of a folder with ``variant.yml``, and what its inputs and outputs mean."""
    folder = request.path if request.path.is_dir() else request.path.parent
    path = folder / _VARIANT
    if not path.is_file():
        raise ConfigError(f"{folder} has no {_VARIANT}, which Segmenter's training writes beside the checkpoint")
    variant, ignored = _read_variant(path, request)
    notes = [f"{IGNORED}{sentence}" for sentence in ignored]
    spec = _spec(variant, notes)
    origin, denormals = {path.name: digest(path)}, 0
    checkpoint = _find_checkpoint(request)
    if checkpoint is None:
        require_checkpoint(request, f"{folder} has no {_CHECKPOINT}")
        network = _build(variant.net_kwargs)
    else:
        weights = read_checkpoint(checkpoint, trust=request.trust)
        state = _our_keys(weights.state)
        with _asked():
            network = _build(variant.net_kwargs, lambda made: require_same_keys(made, state, what=str(checkpoint)))
            denormals = load_strict(network, state, what=str(checkpoint))
        origin[weights.path.name] = weights.digest
    changes = {"random_weights": checkpoint is None, "ignored": tuple(ignored)}
    provenance = _provenance(variant).model_copy(update=changes)
    return Loaded(spec, network, tuple(notes), origin, denormals, provenance=provenance)


def _read_variant(path: Path, request: LoadRequest) -> tuple[_Variant, list[str]]:
    """What the variant says, and a sentence for each option that is ignored."""
    values = read_mapping(path)
    if request.options:
        values = merge_options(values, request.options)
    try:
        return _Variant.model_validate(values), []
    except ValidationError as error:
        strange = [one.place for one in error.mistakes if one.kind == "unknown"]
        if not strange or len(strange) < len(error.mistakes):
            raise ConfigError(f"{path} cannot be used: {validation_line(error)}") from None
    sentences = [_unknown(loc) for loc in strange]
    if not request.ignore_unknown:
        raise ConfigError(
            f"{path}: {' '.join(sentences)} It may change what the network sees: mend or remove it; --ignore-unknown "
            "(ignore_unknown=True) passes over it"
        )
    for *parts, key in strange:
        holder: Any = values
        for part in parts:
            holder = holder[part]
        del holder[key]
    return _Variant.model_validate(values), sentences


def _unknown(loc: tuple[int | str, ...]) -> str:
    *parts, key = map(str, loc)
    part: type[Frozen] = _PARTS[".".join(parts)]
    where = f"{'.'.join(parts)} has" if parts else "there is"
    return f"{where} no option {key!r:.80}.{did_you_mean(key, sorted(part.model_fields))}"


def _find_checkpoint(request: LoadRequest) -> Path | None:
    """The weights that are named, or lie beside the variant."""
    if request.checkpoint is not None:
        return request.checkpoint
    if request.path.suffix in _WEIGHTS:
        return request.path
    folder = request.path if request.path.is_dir() else request.path.parent
    if (folder / _CHECKPOINT).is_file():
        return folder / _CHECKPOINT
    found = sorted(file for file in folder.iterdir() if file.suffix in _WEIGHTS)
    if len(found) > 1:
        names = ", ".join(file.name for file in found)
        raise CheckpointError(f"{folder} holds several checkpoints ({names}): name the one you mean")
    return found[0] if found else None


def _build(net: _Net, check: Callable[[Segmenter], object] = lambda _: None) -> Segmenter:
    """The network with random weights, in evaluation mode."""
    if (number := number_beyond(net.model_dump())) is not None:
        raise ConfigError(f"{_VARIANT} asks for {number!r:.20}, more than {MAXIMUM_NUMBER}: no real network has that")
    with FewRandomNumbers():
        network = build_within_bounds(lambda: Segmenter(_backbone(net), _head(net), net.patch_size), check)
    network.requires_grad_(requires_grad=False).eval()
    return network


def _backbone(net: _Net) -> VisionTransformer:
    return VisionTransformer(
        img_size=net.image_size,
        patch_size=net.patch_size,
        embed_dims=net.d_model,
        num_layers=net.n_layers,
        num_heads=net.n_heads,
        mlp_ratio=_EXPANSION,
        patch_bias=True,
        final_norm=True,
        interpolate_mode="bilinear",
        class_tokens=2 if net.distilled else 1,
    )


def _head(net: _Net) -> nn.Module:
    if net.d_model % net.n_heads or (net.decoder.name != "linear" and net.d_model % _HEAD_WIDTH):
        raise ConfigError(f"{_VARIANT}: d_model {net.d_model} cannot be split into heads")
    if net.decoder.name == "linear":
        return FCNHead(net.d_model, net.d_model, num_classes=net.n_cls, num_convs=0, kernel_size=1, concat_input=False)
    return SegmenterMaskTransformerHead(
        net.d_model,
        net.decoder.n_layers,
        net.d_model // _HEAD_WIDTH,
        net.d_model,
        channels=net.d_model,
        num_classes=net.n_cls,
        mlp_ratio=_EXPANSION,
    )


def _our_keys(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Segmenter's own weights by the names of our modules."""
    with _asked():
        ours, _ = rename(keys.prepare(state), keys.RULES)
        return keys.finish(ours)


@contextlib.contextmanager
def _asked() -> Iterator[None]:
    """Ask of weights that do not fit whether they belong to the variant at all."""
    try:
        yield
    except CheckpointError as error:
        raise CheckpointError(f"{error}. Is it the checkpoint that {_VARIANT} was written for?") from None


def _spec(variant: _Variant, notes: list[str]) -> ModelSpec:
    net, inference = variant.net_kwargs, variant.inference_kwargs
    window, stride = inference.window_size, inference.window_stride
    if window % net.patch_size:
        raise UnsupportedError(
            f"windows of {window} pixels are no whole patches of {net.patch_size}: choose another size, as in "
            f"--cfg-options inference_kwargs.window_size={-(-window // net.patch_size) * net.patch_size}"
        )
    if stride > window:
        raise ConfigError(
            f"{_VARIANT} has windows of {window} every {stride} pixels, which leaves gaps between them: window_stride "
            "must not be larger than window_size"
        )
    mean, std = _STATISTICS[variant.dataset_kwargs.normalization or net.normalization]
    layout = layout_of(variant.dataset_kwargs.dataset, net.n_cls)
    classes = (
        numbered_classes(net.n_cls, "The data set is not known by these classes")
        if layout is None
        else named_classes(net.n_cls, layout=layout)
    )
    notes += classes.notes
    head = "Linear" if net.decoder.name == "linear" else "Mask"
    return ModelSpec(
        source="segmenter",
        architecture=f"Segmenter({net.backbone}, {head}/{net.patch_size})",
        classes=classes.names,
        palette=classes.palette,
        geometry=(ResizeEdges(short=window, enlarge_only=True, interpolation="float_bilinear"),),
        normalization=Normalization(
            channel_order="rgb", mean=tuple(255 * value for value in mean), std=tuple(255 * value for value in std)
        ),
        slide=Slide(crop=(window, window), stride=(stride, stride)),
        reduce_zero_label=layout is not None and layout.reduce_zero_label,
    )


def _provenance(variant: _Variant) -> Provenance:
    net, data = variant.net_kwargs, variant.dataset_kwargs
    windows, dataset = f"{_VARIANT}: inference_kwargs.window_size", f"{_VARIANT}: dataset_kwargs.dataset"
    if data.normalization is not None:
        normalization = read(f"{_VARIANT}: dataset_kwargs.normalization")
    elif "normalization" in net.model_fields_set:
        normalization = read(f"{_VARIANT}: net_kwargs.normalization")
    else:
        normalization = assumed(f"nothing in {_VARIANT} says it")
    named = layout_of(data.dataset, net.n_cls) is not None
    return Provenance(
        channel_order=default("Segmenter loads images as RGB"),
        normalization=normalization,
        size_rule=read(windows),
        padding=default("Segmenter pads within the network"),
        inference=read(windows),
        output=default("Segmenter takes the greatest score"),
        threshold=default("Segmenter takes the greatest score"),
        classes=read(dataset) if named else assumed(f"{dataset} is not known by {net.n_cls} classes"),
        palette=read(dataset) if named else default("made for as many classes"),
    )


FRAMEWORK = Framework(
    "Segmenter",
    "a folder with variant.yml and checkpoint.pth, or one of the two",
    recognises,
    load,
)
