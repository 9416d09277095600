"""The architectures that label every pixel: where each one's scores are, and which sizes its graph takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from segship.core.errors import UnsupportedError, did_you_mean
from segship.sources.huggingface.masks import Detr, Eomt, Mask2Former, Masks, TaskMasks
from segship.sources.huggingface.scores import BeforeResize, Dpt, Interpolating, Logits, channels

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from torch import nn

__all__ = ["FAMILIES", "Family", "find_family"]


@dataclass(frozen=True)
class Family:
    """One architecture.

    Attributes:
        architecture: Name of its class in transformers.
        adapt: Wraps the network so that it returns scores (N, classes, h, w).
        fixed: Whether the network that ``adapt`` wrapped takes one size only, the config's ``image_size``.
        least: How many patches high and wide an image is at least, where the network has patches.
        through_input: Whether the library resizes scores to the input's size before the image's.
    """

    architecture: str
    adapt: Callable[[Any, Path], nn.Module]
    fixed: Callable[[Any], bool] = lambda _: False
    least: int = 1
    through_input: bool = False


# Backbones whose positions are resized, or that have none; absolute ones of Swin are not.
_RESIZING = frozenset({
    *("beit", "convnext", "convnextv2", "dinov2", "dinov2_with_registers", "dinov3_convnext", "dinov3_vit"),
    *("focalnet", "maskformer-swin", "resnet", "swin", "swinv2"),
})  # fmt: skip
_PROBE = (256, 320)


def _always(_: Any) -> bool:
    return True


def _hybrid(module: Any) -> bool:
    return bool(module.model.config.is_hybrid)


def _one_positions(module: Any) -> bool:
    """Whether a backbone adds positions that the library does not resize; one that is not known is tried."""
    config = module.model.config
    if config.backbone_config.model_type in _RESIZING:
        return bool(getattr(config.backbone_config, "use_absolute_embeddings", False))
    image = torch.zeros(1, channels(config), *_PROBE)
    try:
        with torch.inference_mode():
            module(image)
    except Exception:  # noqa: BLE001  (whatever the library raises, it does not take the image)
        return True
    return False


_ALL = (
    Family("SegformerForSemanticSegmentation", Logits),
    Family("UperNetForSemanticSegmentation", BeforeResize, _one_positions, through_input=True),
    Family("BeitForSemanticSegmentation", Interpolating, least=2),
    Family("Data2VecVisionForSemanticSegmentation", Logits, _always),
    Family("DPTForSemanticSegmentation", Dpt, _hybrid),
    Family("MobileViTForSemanticSegmentation", Logits),
    Family("MobileViTV2ForSemanticSegmentation", Logits),
    Family("MobileNetV2ForSemanticSegmentation", Logits),
    Family("Sapiens2ForSemanticSegmentation", Logits),
    Family("Tipsv2DptForSemanticSegmentation", Logits),
    Family("MaskFormerForInstanceSegmentation", Masks, _one_positions),
    Family("Mask2FormerForUniversalSegmentation", Mask2Former, _one_positions),
    Family("OneFormerForUniversalSegmentation", TaskMasks, _one_positions),
    Family("EomtForUniversalSegmentation", Eomt, _always),
    Family("EomtDinov3ForUniversalSegmentation", Eomt, _always),
    Family("DetrForSegmentation", Detr),
)
FAMILIES = {family.architecture: family for family in _ALL}


def find_family(config: Mapping[str, Any]) -> Family:
    """Return the family that ``config.json`` names.

    Raises:
        UnsupportedError: It is not provided; the message lists what is.
    """
    names = [str(name) for name in config.get("architectures") or ()]
    for name in names:
        if name in FAMILIES:
            return FAMILIES[name]
    remote = "; code that comes with a folder (auto_map) is never run" if config.get("auto_map") else ""
    found = ", ".join(names) or "nothing"
    raise UnsupportedError(
        f"config.json names the architecture {found}, which is not provided.{did_you_mean(found, FAMILIES)} Provided "
        f"are {', '.join(FAMILIES)}{remote}"
    )
