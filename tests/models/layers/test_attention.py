from __future__ import annotations

import pytest
import torch

from segship.core.errors import ConfigError
from segship.models.layers.attention import MultiheadAttention


@pytest.fixture(params=[True, False], ids=["bias", "no bias"])
def pair(request: pytest.FixtureRequest) -> tuple[MultiheadAttention, torch.nn.MultiheadAttention]:
    torch.manual_seed(0)
    theirs = torch.nn.MultiheadAttention(12, 3, bias=request.param, batch_first=True).eval()
    ours = MultiheadAttention(12, 3, bias=request.param).eval()
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


def test_self_attention_equals_torchs(pair: tuple[MultiheadAttention, torch.nn.MultiheadAttention]) -> None:
    ours, theirs = pair
    x = torch.randn(2, 7, 12)
    torch.testing.assert_close(ours(x), theirs(x, x, x)[0])


def test_attention_to_other_tokens_equals_torchs(pair: tuple[MultiheadAttention, torch.nn.MultiheadAttention]) -> None:
    ours, theirs = pair
    query, key, value = torch.randn(2, 7, 12), torch.randn(2, 5, 12), torch.randn(2, 5, 12)
    torch.testing.assert_close(ours(query, key), theirs(query, key, key)[0])
    torch.testing.assert_close(ours(query, key, value), theirs(query, key, value)[0])


def test_a_boolean_mask_says_where_attention_is_allowed(
    pair: tuple[MultiheadAttention, torch.nn.MultiheadAttention],
) -> None:
    ours, theirs = pair
    x = torch.randn(1, 5, 12)
    allowed = torch.eye(5).bool() | (torch.rand(5, 5) > 0.5)
    torch.testing.assert_close(ours(x, mask=allowed), theirs(x, x, x, attn_mask=~allowed)[0])


def test_channels_that_cannot_be_divided_among_the_heads_are_refused() -> None:
    with pytest.raises(ConfigError, match="10 channels"):
        MultiheadAttention(10, 3)


def test_attention_written_out_is_rounded_as_torchs_own() -> None:
    torch.manual_seed(0)
    theirs = torch.nn.MultiheadAttention(64, 4).eval()
    ours = MultiheadAttention(64, 4, fused=False).eval()
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(1, 150, 64)
    with torch.inference_mode():
        tokens_first = x.transpose(0, 1)
        expected = theirs(tokens_first, tokens_first, tokens_first)[0].transpose(0, 1)
        torch.testing.assert_close(ours(x), expected, rtol=0, atol=1e-7)
