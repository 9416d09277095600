"""Networks of the library whose output has a score for each class, as modules that return these scores."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from segship.sources.huggingface.lengths import free_lengths

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["BeforeResize", "Dpt", "Interpolating", "Logits", "channels", "image_size", "patch_size"]


def image_size(config: Any) -> tuple[int, int]:
    """Return (height, width) of the images that a network's config, or its backbone's, names; else 512 each way."""
    size = getattr(config, "image_size", None) or getattr(_backbone(config), "image_size", None) or 512
    sides = size if isinstance(size, (list, tuple)) else (size, size)
    return sides[0], sides[-1]


def patch_size(config: Any) -> int:
    """Return the length of a patch of a network, or of its backbone; 1 where it has none."""
    found = getattr(config, "patch_size", None) or getattr(_backbone(config), "patch_size", None)
    return max(found) if isinstance(found, (list, tuple)) else found or 1


def channels(config: Any) -> int:
    """Return how many channels the images of a network have."""
    return int(getattr(config, "num_channels", None) or getattr(_backbone(config), "num_channels", None) or 3)


def _backbone(config: Any) -> Any:
    return getattr(config, "backbone_config", None)


class Logits(nn.Module):
    """A network whose output has scores as ``logits``."""

    def __init__(self, model: Any, _: Path) -> None:
        super().__init__()
        free_lengths(model)
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, classes, h, w)."""
        logits: Tensor = self.model(pixel_values=x, return_dict=True).logits
        return logits


class Interpolating(Logits):
    """BEiT, told that images may be of other sizes than those it was trained on."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, classes, h, w)."""
        logits: Tensor = self.model(pixel_values=x, interpolate_pos_encoding=True, return_dict=True).logits
        return logits


class Dpt(Logits):
    """DPT. The library takes the patches of an image for a square; how many there are each way is told it here."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, classes, H/2, W/2)."""
        model, config = self.model, self.model.config
        output = model.dpt(x, output_hidden_states=True, return_dict=True)
        wanted, maps = config.backbone_out_indices, []
        if config.is_hybrid:
            wanted, maps = wanted[2:], list(output.intermediate_activations)
        maps += [each for number, each in enumerate(output.hidden_states[1:]) if number in wanted]
        patches = (x.shape[2] // config.patch_size, x.shape[3] // config.patch_size)
        logits: Tensor = model.head(model.neck(maps, *patches))
        return logits


class BeforeResize(Logits):
    """UPerNet, without the resize to the input's size that ends its forward."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, classes, H/4, W/4)."""
        features = self.model.backbone.forward_with_filtered_kwargs(x).feature_maps
        logits: Tensor = self.model.decode_head(features)
        return logits
