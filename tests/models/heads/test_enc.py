from __future__ import annotations

import torch

from segship.models.heads.enc import Encoding


def test_encoding_sums_the_weighted_differences_from_every_code_word() -> None:
    torch.manual_seed(0)
    encoding = Encoding(5, 3)
    x = torch.randn(2, 5, 4, 6)
    with torch.inference_mode():
        pixels = x.flatten(2).transpose(1, 2)
        differences = pixels[:, :, None] - encoding.codewords
        weights = (encoding.scale * differences.square().sum(3)).softmax(2)
        torch.testing.assert_close(encoding(x), (weights[..., None] * differences).sum(1))
