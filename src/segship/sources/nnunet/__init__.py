"""Folders of nnU-Net 2 with ``plans.json``, ``dataset.json`` and a checkpoint of each fold; two-dimensional ones.

The network returns the scores of all folds, one behind another: nnU-Net puts the windows of each together by
themselves, in half precision, and takes their mean. What nnU-Net mirrors at inference is the package's own test-time
augmentation (``--tta``). Source: nnunetv2.inference.predict_from_raw_data.nnUNetPredictor.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from segship.core.augmentation import Augmentation
from segship.core.errors import CheckpointError, ConfigError, InputError, did_you_mean, validated
from segship.core.files import digest
from segship.core.provenance import Provenance, default, read
from segship.core.spec import ModelSpec, Normalization, Padding, SizeRule, Slide
from segship.datasets.class_names import named_classes
from segship.models.initialise import FewRandomNumbers
from segship.networks.bounds import build_within_bounds
from segship.reading.checkpoint import read_checkpoint
from segship.reading.documents import read_mapping
from segship.reading.options import merge_options
from segship.reading.weights import load_strict, require_same_keys
from segship.sources import IGNORED, Framework, Loaded, require_checkpoint
from segship.sources.nnunet.network import UNet, UNets, own_keys
from segship.sources.nnunet.plans import read_plan

if TYPE_CHECKING:
    from pathlib import Path

    from segship.core.augmentation import Flip
    from segship.reading.checkpoint import Checkpoint
    from segship.sources import LoadRequest
    from segship.sources.nnunet.plans import Plan

__all__ = ["FRAMEWORK", "load", "recognises"]

_PLANS, _DATASET, _FOLD = "plans.json", "dataset.json", "fold_"
_OWN = ("checkpoint_name", "configuration", "folds", "tile_step_size", "use_gaussian")
_CHECKPOINT = "checkpoint_final.pth"
_FLIPS: tuple[Flip, Flip] = ("vertical", "horizontal")  # by nnU-Net's axes of a plane
_MOST_FOLDS = 32
_MIRRORS = "nnU-Net averages mirrored views by default; here one view is seen unless --tta asks for them"


def recognises(path: Path) -> bool:
    """Return whether ``path`` is a folder with ``plans.json`` and ``dataset.json``, or that ``plans.json``."""
    if path.is_file() and path.name != _PLANS:
        return False
    folder = path if path.is_dir() else path.parent
    return (folder / _PLANS).is_file() and (folder / _DATASET).is_file()


def load(request: LoadRequest) -> Loaded:
    """Read the folds' networks, and what their inputs and outputs mean.

    Options are laid over ``plans.json``; besides, ``folds=[0,1]`` chooses folds and ``checkpoint_name=…`` their files;
    ``tile_step_size=0.5``, ``use_gaussian=true`` and ``configuration=2d`` are nnU-Net's own.
    """
    if request.description is not None:
        raise InputError("nnU-Net's own files say what the network expects: leave out --spec")
    folder = request.path if request.path.is_dir() else request.path.parent
    own, plans = _options(request, read_mapping(folder / _PLANS))
    files = _checkpoints(request, folder, own)
    weights = [read_checkpoint(file, trust=request.trust) for file in files]
    meta = weights[0].meta if weights else {}
    ignored: list[str] = []
    name = str(own.get("configuration") or meta.get("configuration") or "2d")
    plan = read_plan(
        plans, read_mapping(folder / _DATASET), name, unknown=lambda sentence: _unknown(sentence, request, ignored)
    )
    network, denormals = _network(plan, weights)
    spec, notes = _spec(plan, own, len(weights))
    origin = {name: digest(folder / name) for name in (_PLANS, _DATASET)}
    origin |= {"/".join(one.path.parts[-2:]): one.digest for one in weights}
    provenance = _provenance(name).model_copy(update={"random_weights": not weights, "ignored": tuple(ignored)})
    mirroring = _mirroring(meta)
    notes = (*notes, *([_MIRRORS] if mirroring is not None else ()), *(f"{IGNORED}{sentence}" for sentence in ignored))
    return Loaded(spec, network, notes, origin, denormals, provenance=provenance, tta=mirroring)


def _options(request: LoadRequest, plans: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The predictor's options, and the plans with others laid over them."""
    changes = merge_options({}, request.options or {})
    own = {name: changes.pop(name) for name in _OWN if name in changes}
    for name in changes:
        if name not in plans:
            near = did_you_mean(name, (*_OWN, *plans))
            raise ConfigError(
                f"{_PLANS} has no option {name!r:.80}: {', '.join(_OWN)} and its own keys can be set.{near}"
            )
    return own, merge_options(plans, changes)


def _unknown(sentence: str, request: LoadRequest, ignored: list[str]) -> None:
    if not request.ignore_unknown:
        raise ConfigError(f"{sentence} It may change what the network sees: --ignore-unknown passes over it")
    ignored.append(sentence)


def _checkpoints(request: LoadRequest, folder: Path, own: dict[str, Any]) -> list[Path]:
    """The file of each fold that is asked for; of all that there are, where none is."""
    if request.checkpoint is not None:
        return [request.checkpoint]
    name = str(own.get("checkpoint_name", _CHECKPOINT))
    if "/" in name or "\\" in name:
        raise InputError(f"checkpoint_name is {name!r:.80}, expected the name of a file in the folds' folders")
    asked = own.get("folds")
    if asked is None:
        found = sorted(folder.glob(f"{_FOLD}*/{name}"))
        found = [file for file in found if file.parent.name != f"{_FOLD}all"] or found
        if not found:
            require_checkpoint(request, f"{folder} has no {_FOLD}0/{name}")
        return found[:_MOST_FOLDS]
    listed = list(asked) if isinstance(asked, (list, tuple)) else [asked]
    files = [folder / f"{_FOLD}{fold}" / name for fold in listed[:_MOST_FOLDS]]
    for file in files:
        if not file.is_file():
            there = ", ".join(sorted(one.parent.name for one in folder.glob(f"{_FOLD}*/{name}"))) or "no fold"
            raise CheckpointError(f"{file} does not exist: {folder} has {there} with {name}")
    return files


def _network(plan: Plan, weights: list[Checkpoint]) -> tuple[UNets, int]:
    """The folds as one network, and how many of their weights were set to zero because they were denormal."""
    strides = [math.prod(stride[side] for stride in plan.stages.strides) for side in range(2)]
    count, denormals, members = len(plan.classes), 0, []
    found: list[Checkpoint | None] = [*weights] or [None]
    for one in found:
        state = None if one is None else own_keys(one.state, len(plan.stages.widths))

        def make() -> UNet:
            with FewRandomNumbers():
                return UNet(plan.channels, count, plan.stages, plan.layers)

        def check(bare: UNet, state: Any = state, one: Any = one) -> None:
            if state is not None:
                require_same_keys(bare, state, what=str(one.path))

        member = build_within_bounds(make, check)
        if state is not None and one is not None:
            denormals += load_strict(member, state, what=str(one.path))
        members.append(member)
    network = UNets(members, count, SizeRule(multiple_of=math.lcm(*strides)))
    network.requires_grad_(requires_grad=False).eval()
    return network, denormals


def _spec(plan: Plan, own: dict[str, Any], folds: int) -> tuple[ModelSpec, tuple[str, ...]]:
    classes = named_classes(len(plan.classes), plan.classes)
    notes = list(classes.notes)
    clips = [scheme.clip for scheme in plan.schemes]
    statistics = tuple(scheme.statistics for scheme in plan.schemes)
    given: dict[str, Any] = {
        "channel_order": "rgb",
        "mean": tuple(scheme.mean for scheme in plan.schemes),
        "std": tuple(scheme.std for scheme in plan.schemes),
        "clip": tuple(clip or (-1e30, 1e30) for clip in clips) if any(clips) else None,
        "statistics": statistics if any(kind != "none" for kind in statistics) else (),
    }
    if folds > 1:
        notes.append(f"The scores are the mean of {folds} folds; --cfg-options folds=[0] takes one")
    with validated(_PLANS, ConfigError):
        spec = ModelSpec(
            source="nnunet",
            architecture=f"{plan.architecture}({plan.name}, {max(folds, 1)} fold{'s' * (folds > 1)})",
            classes=classes.names,
            palette=classes.palette,
            normalization=Normalization.model_validate(given),
            pixels="uint8" if plan.channels == 3 else "multispectral",  # noqa: PLR2004
            padding=Padding(height=plan.patch[0], width=plan.patch[1], center=True),
            slide=_slide(plan, own, max(folds, 1)),
            trims_zeros=True,
        )
    return spec, tuple(notes)


def _slide(plan: Plan, own: dict[str, Any], members: int) -> Slide:
    share, weighed = own.get("tile_step_size", 0.5), own.get("use_gaussian", True)
    if isinstance(share, bool) or not isinstance(share, (int, float)) or not 1 / min(plan.patch) <= share <= 1:
        least = f"{1 / min(plan.patch):.3g} (a pixel of the plan's patch)"
        raise ConfigError(f"tile_step_size is {share!r:.80}, expected a number of {least} to 1")
    if not isinstance(weighed, bool):
        raise ConfigError(f"use_gaussian is {weighed!r:.80}, expected true or false")
    down, right = (side * share for side in plan.patch)
    whole = float(down).is_integer() and float(right).is_integer()
    return Slide(
        crop=plan.patch,
        stride=(math.ceil(down), math.ceil(right)),
        share=None if whole else share,
        spread=True,
        nearest=True,
        blend="gaussian_half" if weighed else "mean_half",
        members=members,
    )


def _mirroring(meta: dict[str, Any]) -> Augmentation | None:
    """What the checkpoint allows to be mirrored."""
    axes = meta.get("inference_allowed_mirroring_axes")
    if not isinstance(axes, (list, tuple)) or not axes or any(axis not in (0, 1) for axis in axes):
        return None
    return Augmentation(mirror=tuple(_FLIPS[axis] for axis in axes))


def _provenance(name: str) -> Provenance:
    own = f"{_PLANS}: configurations.{name}"
    label = default("nnU-Net takes the greatest score")
    return Provenance(
        channel_order=default("nnU-Net takes channels as the file stores them"),
        normalization=read(f"{own}.normalization_schemes"),
        size_rule=read(f"{own}.spacing"),
        padding=read(f"{own}.patch_size"),
        inference=read(f"{own}.patch_size"),
        output=label,
        threshold=label,
        classes=read(f"{_DATASET}: labels"),
        palette=default("made for as many classes"),
    )


FRAMEWORK = Framework(
    "nnU-Net",
    "a folder with plans.json, dataset.json and fold_0/checkpoint_final.pth",
    recognises,
    load,
)
