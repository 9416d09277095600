from __future__ import annotations

import torch

from segship.models.layers.deformable_attention import Levels, MultiScaleDeformableAttention


def attention(levels: int, points: int = 1) -> MultiScaleDeformableAttention:
    torch.manual_seed(0)
    layer = MultiScaleDeformableAttention(4, 2, levels, points).eval()
    for linear in (layer.sampling_offsets, layer.attention_weights):
        torch.nn.init.zeros_(linear.weight)
        torch.nn.init.zeros_(linear.bias)
    return layer


def test_centres_of_cells_go_row_by_row() -> None:
    levels = Levels.of([(1, 2), (2, 1)], torch.zeros(()))
    assert levels.centres.tolist() == [[0.25, 0.5], [0.75, 0.5], [0.5, 0.25], [0.5, 0.75]]


def test_without_an_offset_a_token_reads_itself() -> None:
    layer, x = attention(1), torch.randn(2, 15, 4)
    with torch.inference_mode():
        read = layer(x, torch.zeros(1, 15, 4), Levels.of([(3, 5)], x))
        torch.testing.assert_close(read, x + layer.output_proj(layer.value_proj(x)))


def test_offsets_count_in_cells_to_the_right_and_down() -> None:
    layer, x = attention(1), torch.randn(1, 6, 4)
    layer.sampling_offsets.bias.data.copy_(torch.tensor([1.0, 0.0, 0.0, 1.0]))  # head 0: right; head 1: down
    with torch.inference_mode():
        values = layer.value_proj(x).reshape(2, 3, 2, 2)  # rows, columns, heads, channels of a head
        right = torch.cat([values[:, 1:, 0], torch.zeros(2, 1, 2)], dim=1)
        down = torch.cat([values[1:, :, 1], torch.zeros(1, 3, 2)], dim=0)
        expected = x + layer.output_proj(torch.cat([right, down], dim=2).reshape(1, 6, 4))
        torch.testing.assert_close(layer(x, torch.zeros(1, 6, 4), Levels.of([(2, 3)], x)), expected)


def test_every_level_counts_alike_where_weights_are_equal() -> None:
    layer = attention(2)
    x = torch.cat([torch.ones(1, 4, 4), torch.full((1, 1, 4), 3.0)], dim=1)
    with torch.inference_mode():
        read = layer(x, torch.zeros(1, 5, 4), Levels.of([(2, 2), (1, 1)], x))
        own, other = layer.value_proj(x[:, :1]), layer.value_proj(x[:, 4:])
        torch.testing.assert_close(read[:, 4:], x[:, 4:] + layer.output_proj((own + other) / 2))
