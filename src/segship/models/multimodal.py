"""A network that classifies by comparison with encoded class names: it can be built and loaded, not run."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from torch import nn

from segship.core.errors import UnsupportedError
from segship.core.spec import SizeRule

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["MultimodalEncoderDecoder"]


class MultimodalEncoderDecoder(nn.Module):
    """Image encoder, text encoder and head under upstream's names (``MultimodalEncoderDecoder``: SAN).

    Its classifier is what CLIP's text encoder makes of the class names, and the byte-pair vocabulary that turns names
    into the encoder's tokens is part of neither config nor checkpoint. So the weights are here, for loading, counting
    and comparing, and running the network is an error that says why.

    Args:
        image_encoder: The first layers of CLIP's image encoder.
        text_encoder: CLIP's text encoder.
        decode_head: The side network and CLIP's last layers.
    """

    def __init__(self, image_encoder: nn.Module, text_encoder: nn.Module, decode_head: nn.Module) -> None:
        super().__init__()
        self.image_encoder = image_encoder
        self.text_encoder = text_encoder
        self.decode_head = decode_head
        self.align_corners: bool = decode_head.align_corners  # type: ignore[assignment]
        self.num_classes: int = decode_head.num_classes  # type: ignore[assignment]
        self.out_channels: int = decode_head.out_channels  # type: ignore[assignment]
        self.threshold: float | None = None

    @property
    def sizes(self) -> SizeRule:
        """The input sizes that the network takes."""
        return SizeRule()

    def logits(self, x: Tensor) -> NoReturn:
        """Nothing can be computed.

        Raises:
            UnsupportedError: Always.
        """
        raise UnsupportedError(
            "SAN cannot run: its classifier is CLIP's text encoder applied to the class names, and the vocabulary that "
            "this takes is part of neither config nor checkpoint. Its weights can be loaded; export a network that "
            "carries its own classifier"
        )

    def forward(self, x: Tensor) -> NoReturn:
        """As `logits`.

        Raises:
            UnsupportedError: Always.
        """
        self.logits(x)
