from __future__ import annotations

import torch

from segship.models.heads.mask2former import attended


def test_queries_look_inside_their_masks() -> None:
    masks = torch.tensor([[-1.0, 2.0], [0.0, -3.0]]).reshape(1, 1, 2, 2)
    assert attended(masks, (2, 2)).tolist() == [[[[False, True, True, False]]]]


def test_queries_with_an_empty_mask_look_everywhere() -> None:
    masks = torch.tensor([[[[-1.0, -2.0]], [[-1.0, 2.0]]]])
    assert attended(masks, (1, 2)).tolist() == [[[[True, True], [False, True]]]]


def test_masks_are_judged_at_the_size_that_is_attended_to() -> None:
    masks = torch.tensor([-4.0, 6.0, 6.0, -8.0]).reshape(1, 1, 1, 4)
    assert attended(masks, (1, 2)).tolist() == [[[[True, False]]]]
