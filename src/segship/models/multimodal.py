"""A network that classifies by comparison with encoded class names: Side Adapter Networks."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from segship.core.errors import ConfigError, UnsupportedError
from segship.core.spec import SizeRule
from segship.models.layers.clip import scaled
from segship.networks.network import Network

if TYPE_CHECKING:
    from torch import Tensor

    from segship.models.backbones.vit import VisionTransformer
    from segship.models.heads.san import SideAdapterCLIPHead
    from segship.models.text_encoders.clip import CLIPTextEncoder

__all__ = ["MultimodalEncoderDecoder"]


class MultimodalEncoderDecoder(Network):
    """Image encoder, text encoder and head under upstream's names (``MultimodalEncoderDecoder``: SAN).

    Its classifier is what CLIP's text encoder makes of the class names, and the byte-pair vocabulary that turns names
    into the encoder's tokens is part of neither config nor checkpoint. So weights can be loaded, counted and compared
    without it, and the network runs once `name_classes` was called.

    Args:
        image_encoder: The first layers of CLIP's image encoder.
        text_encoder: CLIP's text encoder.
        decode_head: The side network and CLIP's last layers.
        asymetric_input: Whether the image encoder sees the image at another size (upstream's spelling).
        encoder_resolution: The factor of that size.

    Raises:
        ConfigError: The factor is missing, or the image encoder's outputs do not fit the head.
    """

    tokens: Tensor
    classifier: Tensor

    def __init__(
        self,
        image_encoder: VisionTransformer,
        text_encoder: CLIPTextEncoder,
        decode_head: SideAdapterCLIPHead,
        *,
        asymetric_input: bool = True,
        encoder_resolution: float | None = None,
    ) -> None:
        super().__init__()
        if asymetric_input and not encoder_resolution:
            raise ConfigError("asymetric_input=True needs encoder_resolution, the factor of the image that CLIP sees")
        self.image_encoder = image_encoder
        self.text_encoder = text_encoder
        self.decode_head = decode_head
        self.factor = float(encoder_resolution or 1) if asymetric_input else 1.0
        self.align_corners: bool = decode_head.align_corners
        self.num_classes: int = decode_head.num_classes
        self.out_channels: int = decode_head.out_channels
        self.threshold: float | None = None
        self.register_buffer("tokens", torch.zeros(0, dtype=torch.int64), persistent=False)
        self.register_buffer("classifier", torch.zeros(0), persistent=False)

    @property
    def _patches(self) -> tuple[int, float]:
        """Pixels of a patch of the side network, and of CLIP's."""
        kernel = self.image_encoder.patch_embed.projection.kernel_size[0]
        return self.decode_head.side_adapter_network.patch, kernel / self.factor

    @property
    def sizes(self) -> SizeRule:
        """The input sizes that the network takes: one patch and more."""
        least = math.ceil(max(self._patches))
        return SizeRule(minimum=(least, least))

    def name_classes(self, tokens: Tensor) -> None:
        """Take up what the classes are called, and compute the classifier.

        Args:
            tokens: int64 (templates, classes, L): the tokens of each class's name in each sentence.
        """
        self.tokens = tokens
        self.settle()

    def settle(self) -> None:
        """Compute the classifier from the weights that the text encoder has now; without names there is none."""
        if self.tokens.numel():
            self.classifier = self.text_encoder.classifier(self.tokens)

    def logits(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, classes, H, W).

        Raises:
            UnsupportedError: The classes are not named.
        """
        if not self.classifier.numel():
            raise UnsupportedError(
                "SAN cannot run: its classifier is CLIP's text encoder applied to the class names, and the vocabulary "
                "that this takes is part of neither config nor checkpoint"
            )
        features = self.image_encoder(x if self.factor == 1 else scaled(x, self.factor))
        small, large = self._patches
        # The fewer patches, the more of the other's each of CLIP's covers: with one, up to twice as many.
        widest = math.ceil(2 * large / small) + 1
        found: Tensor = self.decode_head(x, features, self.classifier, widest=widest)
        return found
