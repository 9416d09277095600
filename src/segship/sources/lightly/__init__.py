"""Checkpoints of lightly-train: EoMT on DINOv2 or DINOv3, as its training exports them; nothing else is needed.

Class and arguments of the network are read as data; the layers are this package's own.
Source: lightly_train.load_model.
"""

from __future__ import annotations

import math
import zipfile
from typing import TYPE_CHECKING

from segship.core.errors import CheckpointError, ConfigError, InputError, UnsupportedError, validated
from segship.core.provenance import Provenance, default, read
from segship.core.spec import ModelSpec, Normalization, ResizeEdges, SizeRule, Slide
from segship.datasets.class_names import named_classes
from segship.models.initialise import FewRandomNumbers
from segship.networks.bounds import MAXIMUM_NUMBER, build_within_bounds, number_beyond
from segship.reading.checkpoint import read_checkpoint
from segship.reading.weights import load_strict, require_same_keys
from segship.sources import IGNORED, Framework, Loaded
from segship.sources.lightly.arguments import read_arguments
from segship.sources.lightly.network import Eomt, Shape

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from segship.sources import LoadRequest
    from segship.sources.lightly.arguments import Arguments

__all__ = ["FRAMEWORK", "load", "recognises"]

_SUFFIXES = frozenset({".ckpt", ".pt", ".pth"})
_MARKS = (b"model_class_path", b"model_init_args", b"lightly_train")
_MOST_PICKLE = 2**25
_PREFIX, _BACKBONE = "model.", "backbone."
_UNUSED = ("mask_token", "local_cls_norm.weight", "local_cls_norm.bias", "cls_norm.weight", "cls_norm.bias")
_SMALL_HEADS = ("_vittest14", 2)  # the only backbone of DINOv2 whose heads are not 64 numbers long
_HEAD = 64
_ROTARY_PARTS = 4  # numbers of a head that one period turns
_OFFSET = 0.1


def recognises(path: Path) -> bool:
    """Return whether ``path`` is a file of torch that names a class of lightly-train and its arguments."""
    if path.suffix not in _SUFFIXES or not path.is_file() or not zipfile.is_zipfile(path):
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            entry = next((each for each in archive.infolist() if each.filename.endswith("/data.pkl")), None)
            if entry is None or entry.file_size > _MOST_PICKLE:
                return False
            with archive.open(entry) as file:
                content = file.read(_MOST_PICKLE)
    except (OSError, zipfile.BadZipFile, NotImplementedError, RuntimeError):
        return False
    return all(mark in content for mark in _MARKS)


def load(request: LoadRequest) -> Loaded:
    """Read a checkpoint's network, and what its input and output mean."""
    if request.checkpoint is not None or request.description is not None or request.options:
        raise InputError(f"{request.path} says all itself: give nothing else (no CHECKPOINT, --spec or --cfg-options)")
    checkpoint = read_checkpoint(request.path, trust=request.trust)
    ignored: list[str] = []

    def unknown(sentence: str) -> None:
        if not request.ignore_unknown:
            raise ConfigError(f"{sentence} It may change what the network sees: --ignore-unknown passes over it")
        ignored.append(sentence)

    said = read_arguments(checkpoint.meta, str(request.path), unknown)
    state = _own_state(checkpoint.state, str(request.path))
    network, denormals = _network(said, state, str(request.path))
    spec, notes = _spec(said, request.path.name)
    notes = (*notes, *(f"{IGNORED}{sentence}" for sentence in ignored))
    provenance = _provenance(request.path.name, tuple(ignored))
    origin = {request.path.name: checkpoint.digest}
    return Loaded(spec, network, notes, origin, denormals, provenance=provenance)


def _own_state(state: dict[str, Tensor], what: str) -> dict[str, Tensor]:
    """The network's weights: without those of its training, and with the keys' bias left out that it masks."""
    found = {key.removeprefix(_PREFIX): value for key, value in state.items() if key.startswith(_PREFIX)}
    if not found:
        raise CheckpointError(f"{what} has no weights of a network (model.…): found {', '.join(list(state)[:4])}")
    for key in [key for key in found if key.endswith(".qkv.bias_mask")]:
        mask, bias = found.pop(key), key.removesuffix("_mask")
        if bias in found and mask.shape == found[bias].shape:
            found[bias] = found[bias] * mask
    return {key: value for key, value in found.items() if key.removeprefix(_BACKBONE) not in _UNUSED}


def _network(said: Arguments, state: dict[str, Tensor], what: str) -> tuple[Eomt, int]:
    """The network, and how many of its weights were set to zero because they were denormal."""
    shape = _shape(said, state, what)

    def make() -> Eomt:
        with FewRandomNumbers():
            return Eomt(shape, SizeRule(fixed=(shape.side, shape.side)))

    network = build_within_bounds(make, lambda bare: require_same_keys(bare, state, what=what))
    denormals = load_strict(network, state, what=what)
    network.settle()
    network.requires_grad_(requires_grad=False).eval()
    return network, denormals


def _shape(said: Arguments, state: dict[str, Tensor], what: str) -> Shape:
    """The sizes of a network, by those of its weights."""

    def sides(key: str, count: int) -> tuple[int, ...]:
        value = state.get(key)
        if value is None or value.ndim != count or 0 in value.shape:
            found = "nothing" if value is None else "x".join(map(str, value.shape))
            raise CheckpointError(f"{what}: {key} is {found}, expected weights of {count} dimensions")
        return tuple(value.shape)

    patches = sides(f"{_BACKBONE}patch_embed.proj.weight", 4)
    dim = patches[0]
    registers = f"{_BACKBONE}{'storage' if said.rotary else 'register'}_tokens"
    block = f"{_BACKBONE}blocks.0."
    feed = next((name for name in ("fc1", "w12", "w1") if f"{block}mlp.{name}.weight" in state), "fc1")
    length = dim // _SMALL_HEADS[1] if said.backbone == _SMALL_HEADS[0] else _HEAD
    if said.rotary:
        length = _ROTARY_PARTS * sides(f"{_BACKBONE}rope_embed.periods", 1)[0]
    joined = sides(f"{block}mlp.{feed}.weight", 2)[0]
    shape = Shape(
        rotary=said.rotary,
        channels=patches[1],
        dim=dim,
        depth=_count(state, f"{_BACKBONE}blocks."),
        heads=dim // length,
        patch=patches[2],
        positions=0 if said.rotary else sides(f"{_BACKBONE}pos_embed", 3)[1] - 1,
        registers=sides(registers, 3)[1] if registers in state else 0,
        feed=feed,
        hidden=joined // 2 if feed == "w12" else joined,
        bias=f"{block}attn.qkv.bias" in state,
        queries=said.queries,
        classes=len(said.classes),
        joint=said.joint,
        upscale=_count(state, "upscale."),
        side=min(said.size),
        offset=0.0 if registers in state else _OFFSET,
    )
    return _consistent(shape, said, what)


def _count(state: dict[str, Tensor], start: str) -> int:
    """How many parts of a list there are, by the weights of each."""
    return len({key.removeprefix(start).split(".")[0] for key in state if key.startswith(start)})


def _consistent(shape: Shape, said: Arguments, what: str) -> Shape:
    if number_beyond([shape.dim, shape.hidden, shape.patch, shape.registers, shape.positions]) is not None:
        raise UnsupportedError(
            f"{what}: its weights have more than {MAXIMUM_NUMBER} numbers a side: no real network has"
        )
    if shape.heads < 1 or shape.dim % shape.heads:
        raise CheckpointError(f"{what}: tokens of {shape.dim} numbers are no whole number of attention's heads")
    if shape.joint > shape.depth:
        raise ConfigError(f"{what}: num_joint_blocks is {shape.joint}, but the backbone has {shape.depth} blocks")
    if shape.channels != len(said.mean):
        raise ConfigError(
            f"{what}: image_normalize has {len(said.mean)} channels, but the network takes {shape.channels}"
        )
    if shape.grid < 1:
        raise ConfigError(f"{what}: image_size {said.size} is smaller than a patch of {shape.patch} pixels")
    if math.isqrt(shape.positions) ** 2 != shape.positions:
        raise CheckpointError(f"{what}: {shape.positions} positions are no square")
    return shape


def _spec(said: Arguments, name: str) -> tuple[ModelSpec, tuple[str, ...]]:
    classes = named_classes(len(said.classes), tuple(said.classes.values()))
    notes = list(classes.notes)
    if list(said.classes) != list(range(len(said.classes))):
        numbers = ", ".join(f"{place} is {number}" for place, number in enumerate(said.classes))
        notes.append(f"Labels are numbered from 0 in the checkpoint's order; in lightly-train's own numbers, {numbers}")
    if len(said.mean) != 3:  # noqa: PLR2004
        raise UnsupportedError(f"{name}: the network takes {len(said.mean)} channels; images of three are provided")
    side = min(said.size)
    with validated(name, ConfigError):
        spec = ModelSpec(
            source="lightly",
            architecture=f"{said.kind}({said.name})",
            classes=classes.names,
            palette=classes.palette,
            geometry=(ResizeEdges(short=side, interpolation="float_antialiased"),),
            normalization=Normalization(
                channel_order="rgb",
                mean=tuple(255 * value for value in said.mean),
                std=tuple(255 * value for value in said.std),
            ),
            slide=Slide(crop=(side, side), stride=(side, side), spread=True),
            resize_logits="directly",
        )
    return spec, tuple(notes)


def _provenance(name: str, ignored: tuple[str, ...]) -> Provenance:
    own = f"{name}: model_init_args"
    label = default("lightly-train takes the greatest score")
    return Provenance(
        channel_order=default("lightly-train reads images as RGB"),
        normalization=read(f"{own}.image_normalize"),
        size_rule=read(f"{own}.image_size"),
        padding=default("lightly-train pads nothing"),
        inference=read(f"{own}.image_size"),
        output=label,
        threshold=label,
        classes=read(f"{own}.classes"),
        palette=default("made for as many classes"),
        ignored=ignored,
    )


FRAMEWORK = Framework(
    "lightly-train",
    "an exported EoMT checkpoint (exported_models/exported_best.pt) or checkpoints/best.ckpt",
    recognises,
    load,
)
