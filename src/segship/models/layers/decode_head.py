"""What all decode heads have in common: which feature maps they take, and the classifier ``conv_seg``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import torch
from torch import nn

from segship.core.errors import ConfigError
from segship.networks.resample import resize

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["DecodeHead", "Features", "InputTransform"]

Features = Sequence["Tensor"]
InputTransform = Literal["resize_concat", "multiple_select"] | None


class DecodeHead(nn.Module):
    """Base of the heads that end in a 1x1 convolution called ``conv_seg``.

    A subclass computes (N, channels, h, w) in its ``forward`` and returns `classify` of it.

    Args:
        in_channels: Channels of the feature maps taken: a number, or one for each index.
        channels: Channels before the classifier.
        num_classes: Number of classes.
        out_channels: Channels of the logits: ``num_classes``, or 1 for a binary head; None: ``num_classes``.
        threshold: Probability above which a binary head's label is 1; None: 0.3, as upstream.
        in_index: Which feature map or maps; negative counts from the end.
        input_transform: ``None``: one map; ``"resize_concat"``: all selected maps resized to the first one's size and
            concatenated; ``"multiple_select"``: a list of maps.
        align_corners: How maps and logits are resized.

    Attributes:
        classifies: Whether the head ends in the classifier; a head that needs the features under it turns it off.

    Raises:
        ConfigError: ``out_channels`` is neither ``num_classes`` nor 1.
    """

    classifies: bool = True

    def __init__(
        self,
        in_channels: int | Sequence[int],
        channels: int,
        *,
        num_classes: int,
        out_channels: int | None = None,
        threshold: float | None = None,
        in_index: int | Sequence[int] = -1,
        input_transform: InputTransform = None,
        align_corners: bool = False,
    ) -> None:
        super().__init__()
        self.in_channels: int | Sequence[int] = in_channels
        if input_transform == "resize_concat" and not isinstance(in_channels, int):
            self.in_channels = sum(in_channels)
        self.in_index = in_index
        self.input_transform = input_transform
        self.channels = channels
        self.num_classes = num_classes
        self.out_channels = num_classes if out_channels is None else out_channels
        if self.out_channels not in {num_classes, 1}:
            raise ConfigError(f"out_channels must be num_classes ({num_classes}) or 1, not {out_channels}")
        self.threshold = 0.3 if threshold is None and self.out_channels == 1 else threshold
        self.align_corners = align_corners
        self.conv_seg = nn.Conv2d(channels, self.out_channels, 1)

    @property
    def width(self) -> int:
        """Channels of the single map that `select` returns.

        Raises:
            ConfigError: The head takes several maps.
        """
        if not isinstance(self.in_channels, int):
            raise ConfigError(f"{type(self).__name__} takes one feature map, in_channels is {self.in_channels}")
        return self.in_channels

    def __dir__(self) -> list[str]:
        # torch.jit.trace reads every attribute that is listed, and would stumble over the error above.
        names: list[str] = super().__dir__()  # type: ignore[no-untyped-call]
        return [name for name in names if name != "width" or isinstance(self.in_channels, int)]

    def select(self, features: Features) -> Tensor:
        """The one map a head works on: picked, or resized to the first one's size and concatenated.

        Args:
            features: Maps (N, C_i, H_i, W_i) of the backbone or neck.

        Returns:
            (N, width, H, W).
        """
        if isinstance(self.in_index, int):
            return features[self.in_index]
        maps = self.select_many(features)
        size = maps[0].shape[2:]
        return torch.cat([resize(x, size, align_corners=self.align_corners) for x in maps], dim=1)

    def select_many(self, features: Features) -> list[Tensor]:
        """The maps a head with ``input_transform="multiple_select"`` works on."""
        indices = [self.in_index] if isinstance(self.in_index, int) else self.in_index
        return [features[i] for i in indices]

    def classify(self, x: Tensor) -> Tensor:
        """(N, channels, h, w) -> logits (N, out_channels, h, w); the same where ``classifies`` is off."""
        return self.conv_seg(x) if self.classifies else x
