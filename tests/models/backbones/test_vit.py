from __future__ import annotations

import pytest
import torch

from segship.core.errors import ConfigError
from segship.models.backbones.vit import VisionTransformer
from support import fill


class OneOutput(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.network = VisionTransformer(img_size=64, embed_dims=12, num_heads=2, num_layers=1)
        fill.fill_network(self.network)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        (x,) = self.network(image)
        return x


def test_a_captured_network_uses_the_embedding_as_the_eager_one_does_at_every_size() -> None:
    network = OneOutput().eval()
    free = torch.export.Dim.DYNAMIC
    image = torch.from_numpy(fill.image(96, 128, batch=2))
    program = torch.export.export(network, (image,), dynamic_shapes=({0: free, 2: free, 3: free},))
    # As many patches as the embedding has: its own shape, and another that takes it unchanged; then any other size.
    for size in ((64, 64), (32, 128), (77, 130)):
        image = torch.from_numpy(fill.image(*size, batch=2))
        torch.testing.assert_close(program.module()(image), network(image))


def test_the_class_token_cannot_be_returned_where_it_takes_no_part() -> None:
    with pytest.raises(ConfigError, match="with_cls_token"):
        VisionTransformer(with_cls_token=False, output_cls_token=True, num_layers=1, embed_dims=12)
