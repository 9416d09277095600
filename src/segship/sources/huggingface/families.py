"""The architectures that label every pixel: where each one's scores are, and which sizes its graph takes."""

from __future__ import annotations

import contextlib
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segship.core.errors import ConfigError, UnsupportedError, did_you_mean, one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

__all__ = ["FAMILIES", "Family", "find_family"]

_MASK2FORMER_SIZE = (384, 384)
_TASK = "the task is semantic"
_CHECK = "torch_compilable_check"


@dataclass(frozen=True)
class Family:
    """One architecture.

    Attributes:
        architecture: Name of its class in transformers.
        adapt: Wraps the network so that it returns scores (N, classes, h, w).
        fixed: Whether a graph of it takes one size only.
        multiple_of: Of which height and width must be multiples.
        through_input: Whether the library resizes scores to the input's size before the image's.
    """

    architecture: str
    adapt: Callable[[Any, Path], nn.Module]
    fixed: bool = True
    multiple_of: int = 1
    through_input: bool = False


class _Logits(nn.Module):
    """A network whose output has scores as ``logits``."""

    def __init__(self, model: Any, _: Path) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, classes, h, w)."""
        logits: Tensor = self.model(pixel_values=x, return_dict=True).logits
        return logits


class _BeforeResize(_Logits):
    """UPerNet, without the resize to the input's size that ends its forward."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, classes, H/4, W/4)."""
        features = self.model.backbone.forward_with_filtered_kwargs(x).feature_maps
        logits: Tensor = self.model.decode_head(features)
        return logits


class _Masks(_Logits):
    """Masks with classes, summed: the score of a class is that of its masks, weighted by their probability of it."""

    size: tuple[int, int] | None = None

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, classes, h, w), in 0 to the number of masks."""
        output = self.model(**self.inputs(x), return_dict=True)
        masks = output.masks_queries_logits
        if self.size is not None:
            masks = F.interpolate(masks, self.size, mode="bilinear", align_corners=False)
        classes = output.class_queries_logits.softmax(dim=-1)[..., :-1]
        scores: Tensor = classes.transpose(1, 2) @ masks.sigmoid().flatten(2)
        return torch.unflatten(scores, 2, masks.shape[2:])

    def inputs(self, x: Tensor) -> dict[str, Tensor]:
        """Return what the network is called with."""
        return {"pixel_values": x}


class _FixedMasks(_Masks):
    """Mask2Former, whose masks are resized to one size before they are summed, whatever the image's."""

    size = _MASK2FORMER_SIZE


@contextlib.contextmanager
def _without_checks(module: Any) -> Iterator[None]:
    """Leave out the library's checks of its own shapes, for which a graph has no operator."""
    check = getattr(module, _CHECK, None)
    setattr(module, _CHECK, lambda *_, **__: None)
    try:
        yield
    finally:
        setattr(module, _CHECK, check)


class _TaskMasks(_Masks):
    """OneFormer, told in words that the task is semantic."""

    task: Tensor

    def __init__(self, model: Any, folder: Path) -> None:
        super().__init__(model, folder)
        self.register_buffer("task", _tokens(folder, model.config.task_seq_len))

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, classes, h, w)."""
        if not torch.compiler.is_exporting():
            return super().forward(x)
        with _without_checks(sys.modules[type(self.model).__module__]):
            return super().forward(x)

    def inputs(self, x: Tensor) -> dict[str, Tensor]:
        """Return what the network is called with."""
        return {"pixel_values": x, "task_inputs": self.task.expand(x.shape[0], -1)}


def _tokens(folder: Path, length: int) -> Tensor:
    """The task's sentence as the tokens (1, length) that the folder's tokenizer makes of it; 0 after its end."""
    import transformers

    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        tokens = tokenizer([_TASK], padding="max_length", max_length=length, truncation=True, return_tensors="pt")
    except Exception as error:
        raise ConfigError(
            f"{folder} holds no usable tokenizer, which OneFormer needs to be told its task (vocab.json and "
            f"merges.txt, or tokenizer.json): {one_line(error, joined=True)}"
        ) from error
    ids: Tensor = (tokens["input_ids"] * tokens["attention_mask"]).to(torch.int64)
    return ids


_ALL = (
    Family("SegformerForSemanticSegmentation", _Logits, fixed=False),
    Family("UperNetForSemanticSegmentation", _BeforeResize, through_input=True),
    Family("BeitForSemanticSegmentation", _Logits),
    Family("Data2VecVisionForSemanticSegmentation", _Logits),
    Family("DPTForSemanticSegmentation", _Logits),
    Family("MobileViTForSemanticSegmentation", _Logits),
    Family("MobileNetV2ForSemanticSegmentation", _Logits),
    Family("MaskFormerForInstanceSegmentation", _Masks),
    Family("Mask2FormerForUniversalSegmentation", _FixedMasks),
    Family("OneFormerForUniversalSegmentation", _TaskMasks),
)
FAMILIES = {family.architecture: family for family in _ALL}
_UPERNET_DYNAMIC = Family("UperNetForSemanticSegmentation", _BeforeResize, fixed=False, through_input=True)
_CONVOLUTIONAL = frozenset({"convnext", "convnextv2", "resnet"})


def find_family(config: Mapping[str, Any]) -> Family:
    """Return the family that ``config.json`` names.

    Raises:
        UnsupportedError: It is not provided; the message lists what is.
    """
    names = [str(name) for name in config.get("architectures") or ()]
    for name in names:
        if name == _UPERNET_DYNAMIC.architecture:
            backbone = (config.get("backbone_config") or {}).get("model_type")
            return _UPERNET_DYNAMIC if backbone in _CONVOLUTIONAL else FAMILIES[name]
        if name in FAMILIES:
            return FAMILIES[name]
    remote = "; code that comes with a folder (auto_map) is never run" if config.get("auto_map") else ""
    found = ", ".join(names) or "nothing"
    raise UnsupportedError(
        f"config.json names the architecture {found}, which is not provided.{did_you_mean(found, FAMILIES)} Provided "
        f"are {', '.join(FAMILIES)}{remote}"
    )
