"""The channels of a network's input: which numbers of an image they are, in which order, and how they are normalised.

Some pipelines hand a network other channels than a package can prepare: a grey mean of three, or bands in the order in
which OpenCV decodes them. Both are linear, so the network gets one convolution of 1x1 before it, of fixed numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from segship.core.errors import ConfigError, UnsupportedError
from segship.core.spec import Normalization
from segship.networks.network import Network
from segship.sources.mmseg.pipeline import normalization

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from segship.core.spec import PixelKind, SizeRule
    from segship.sources.mmseg.pipeline import Pipeline

__all__ = ["Channels", "Mix", "MixedNetwork", "read_channels"]

_PHOTOGRAPH = 3
_BYTE = 255.0
_UNCHANGED = "color_type='unchanged': images are taken to have {} of 8 bits each, as color_type={!r} loads them"


@dataclass(frozen=True)
class Mix:
    """What a network's channels are of an image's.

    Attributes:
        weights: For each channel of the network its share of each channel of the image.
        bias: What is added to each.
    """

    weights: tuple[tuple[float, ...], ...]
    bias: tuple[float, ...]


@dataclass(frozen=True)
class Channels:
    """What a package prepares of an image.

    Attributes:
        normalization: Of the image's channels.
        pixels: Photographs, or bands as stored.
        mix: What the network makes of them; None: it takes them as they are.
        notes: What a user should know.
    """

    normalization: Normalization
    pixels: PixelKind
    mix: Mix | None = None
    notes: tuple[str, ...] = ()


class MixedNetwork(Network):
    """A network that takes other channels than its image has.

    Args:
        network: Takes the channels that ``mix`` makes.
        mix: How they are made.
    """

    def __init__(self, network: Network, mix: Mix) -> None:
        super().__init__()
        self.network = network
        self.mix = nn.Conv2d(len(mix.weights[0]), len(mix.weights), 1)
        with torch.no_grad():
            self.mix.weight.copy_(torch.tensor(mix.weights)[:, :, None, None])
            self.mix.bias.copy_(torch.tensor(mix.bias))  # type: ignore[union-attr]
        self.align_corners, self.threshold = network.align_corners, network.threshold
        self.num_classes, self.out_channels = network.num_classes, network.out_channels
        self.requires_grad_(requires_grad=False).eval()

    @property
    def sizes(self) -> SizeRule:
        """The input sizes that the network takes."""
        return self.network.sizes

    def logits(self, x: Tensor) -> Tensor:
        """Logits of the channels as the image has them, at the network's own resolution."""
        return self.network.logits(self.mix(x))


def read_channels(cfg: Mapping[str, Any], pipeline: Pipeline, in_channels: Any) -> Channels:
    """Return what the pipeline and the data preprocessor make of an image's channels.

    Args:
        cfg: The data preprocessor.
        pipeline: The test pipeline.
        in_channels: Of the backbone; decides where neither says how many bands there are.

    Raises:
        ConfigError: They contradict each other.
        UnsupportedError: They do what is not provided.
    """
    flips = _flips(cfg, pipeline)
    loaded = _loaded(cfg, pipeline, in_channels)
    seen = loaded if pipeline.grey is None else pipeline.grey.channels or len(pipeline.grey.weights)
    mean, std = (_repeated(cfg.get(key), seen) for key in ("mean", "std"))
    told = pipeline.normalization or normalization(mean, std, rgb=flips, channels=seen)
    if len(told.mean) != seen:
        raise UnsupportedError(
            f"the network takes images of {len(told.mean)} channels, but the test pipeline loads {seen}: "
            "networks for several images are not provided, those for many bands where the pipeline loads them "
            "(LoadSingleRSImageFromFile, or imdecode_backend='tifffile')"
        )
    kind, notes = _kind(pipeline, loaded, told)
    turned = flips and seen == loaded == _PHOTOGRAPH and pipeline.grey is None
    order = _order(loaded, blue_first=kind == "unchanged", turned=turned)
    pixels: PixelKind = "multispectral"
    if kind in {"colour", "grey"}:
        pixels, order = "uint8", tuple(range(loaded))
    if pipeline.grey is not None:
        return Channels(_untouched(loaded), pixels, _grey(pipeline.grey.weights, told, order), notes)
    if order == tuple(range(loaded)):
        return Channels(told, pixels, None, notes)
    return Channels(_in_order_of_file(told, order), pixels, _permutation(order), notes)


def _flips(cfg: Mapping[str, Any], pipeline: Pipeline) -> bool:
    """Whether the order of the loaded channels is turned round, which either option and Normalize of 0.x do."""
    if cfg.get("bgr_to_rgb") and cfg.get("rgb_to_bgr"):
        raise ConfigError("data_preprocessor has both bgr_to_rgb and rgb_to_bgr, of which MMSegmentation takes one")
    flips = bool(cfg.get("bgr_to_rgb") or cfg.get("rgb_to_bgr"))
    if pipeline.normalization is not None and (cfg.get("mean") is not None or flips):
        raise UnsupportedError("both the test pipeline and the data preprocessor normalise, which is not provided")
    return flips or (pipeline.normalization is not None and pipeline.normalization.channel_order == "rgb")


def _loaded(cfg: Mapping[str, Any], pipeline: Pipeline, in_channels: Any) -> int:
    """How many channels the pipeline loads; of many bands as many as have means, else as the backbone takes."""
    weights = None if pipeline.grey is None else len(pipeline.grey.weights)
    count = {"grey": 1, "colour": _PHOTOGRAPH}.get(pipeline.loading.kind)
    if count is None:
        return _bands(cfg, pipeline, in_channels) if weights is None else weights
    if weights not in {None, count}:
        raise ConfigError(f"RGB2Gray has {weights} weights, but images are loaded with {count} channels")
    return count


def _bands(cfg: Mapping[str, Any], pipeline: Pipeline, in_channels: Any) -> int:
    """How many channels of a file whose own number is not known here."""
    if pipeline.normalization is not None:
        return len(pipeline.normalization.mean)
    mean = cfg.get("mean")
    if isinstance(mean, (list, tuple)) and len(mean) > 1:
        return len(mean)
    return in_channels if isinstance(in_channels, int) else len(mean or ()) or _PHOTOGRAPH


def _repeated(values: Any, count: int) -> Any:
    """One number for all channels as one for each, as MMSegmentation's data preprocessor understands it."""
    return list(values) * count if isinstance(values, (list, tuple)) and len(values) == 1 else values


def _kind(pipeline: Pipeline, loaded: int, told: Normalization) -> tuple[str, tuple[str, ...]]:
    """What the pixels are; files loaded as they are have 8 bits where the statistics are those of bytes."""
    loading = pipeline.loading
    if loading.kind != "unchanged" or loaded not in {1, _PHOTOGRAPH} or max((*told.mean, *told.std)) > _BYTE:
        return loading.kind, loading.notes
    kind, what, same = ("grey", "one channel", "grayscale") if loaded == 1 else ("colour", "three channels", "color")
    return kind, (*loading.notes, _UNCHANGED.format(what, same))


def _order(loaded: int, *, blue_first: bool, turned: bool) -> tuple[int, ...]:
    """The file's channel that each of the network's is: OpenCV decodes the first three blue first."""
    order = list(range(loaded))
    if blue_first and loaded >= _PHOTOGRAPH:
        order[:_PHOTOGRAPH] = order[:_PHOTOGRAPH][::-1]
    return tuple(order[::-1] if turned else order)


def _untouched(count: int) -> Normalization:
    return Normalization(channel_order="bgr", mean=(0.0,) * count, std=(1.0,) * count)


def _grey(weights: Sequence[float], told: Normalization, order: Sequence[int]) -> Mix:
    """The weighted mean of all channels, once for each of the network's, normalised."""
    shares = [0.0] * len(weights)
    for place, weight in zip(order, weights, strict=True):
        shares[place] = weight
    rows = tuple(tuple(share / std for share in shares) for std in told.std)
    return Mix(rows, tuple(-mean / std for mean, std in zip(told.mean, told.std, strict=True)))


def _in_order_of_file(told: Normalization, order: Sequence[int]) -> Normalization:
    place = [order.index(channel) for channel in range(len(order))]
    mean, std = (tuple(values[index] for index in place) for values in (told.mean, told.std))
    return Normalization(channel_order=told.channel_order, mean=mean, std=std)


def _permutation(order: Sequence[int]) -> Mix:
    rows = tuple(tuple(float(channel == place) for channel in range(len(order))) for place in order)
    return Mix(rows, (0.0,) * len(order))
