"""A network: backbone, neck and decode heads under MMSegmentation's attribute names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from segship.core.spec import SizeRule
from segship.networks.network import Network

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

__all__ = ["EncoderDecoder"]


class EncoderDecoder(Network):
    """Backbone, neck and decode head (upstream ``EncoderDecoder`` and ``CascadeEncoderDecoder``).

    Args:
        backbone: Image (N, 3, H, W) in, tuple of feature maps out.
        decode_head: Features in, logits (N, C, h, w) out. Several heads form a cascade: each later one is called with
            the features and the logits of the one before.
        neck: Features in, features out.
        auxiliary_head: Heads that only training uses; kept for their weights, never run.

    A head that sets ``needs_input_size = True`` is called with ``size=(H, W)``, the image's, as a keyword.
    A part that sets ``sizes`` (a `SizeRule`) limits the sizes of the whole network.
    """

    def __init__(
        self,
        backbone: nn.Module,
        decode_head: nn.Module | Sequence[nn.Module],
        neck: nn.Module | None = None,
        auxiliary_head: nn.Module | Sequence[nn.Module] | None = None,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.neck = neck
        self.decode_head = _one_or_list(decode_head)
        if auxiliary_head is not None:
            self.auxiliary_head = _one_or_list(auxiliary_head)
        last = self._heads()[-1]
        self.align_corners: bool = last.align_corners  # type: ignore[assignment]
        self.num_classes: int = last.num_classes  # type: ignore[assignment]
        self.out_channels: int = last.out_channels  # type: ignore[assignment]
        self.threshold: float | None = last.threshold  # type: ignore[assignment]

    def _heads(self) -> list[nn.Module]:
        return list(self.decode_head) if isinstance(self.decode_head, nn.ModuleList) else [self.decode_head]

    @property
    def sizes(self) -> SizeRule:
        """The input sizes that the network takes."""
        for part in (self.backbone, self.neck, *self._heads()):
            rule = getattr(part, "sizes", None)
            if isinstance(rule, SizeRule):
                return rule
        return SizeRule()

    def logits(self, x: Tensor) -> Tensor:
        """Logits at the head's own resolution.

        Args:
            x: float32 (N, 3, H, W), normalised.

        Returns:
            float32 (N, C, h, w); resizing them bilinearly to (H, W) gives `forward`.
        """
        features = self.backbone(x)
        if self.neck is not None:
            features = self.neck(features)
        outputs: tuple[Tensor, ...] = ()
        for head in self._heads():
            size = {"size": x.shape[2:]} if getattr(head, "needs_input_size", False) else {}
            outputs = (head(features, *outputs, **size),)
        return outputs[0]


def _one_or_list(heads: nn.Module | Sequence[nn.Module]) -> nn.Module:
    return heads if isinstance(heads, nn.Module) else nn.ModuleList(heads)
