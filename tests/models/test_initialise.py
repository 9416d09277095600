from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import nn

from segship.models.initialise import FewRandomNumbers

LAYERS: list[Callable[[], nn.Linear | nn.Conv2d]] = [
    lambda: nn.Linear(2048, 1024),
    lambda: nn.Conv2d(512, 300, 3),
    lambda: nn.Linear(8, 4),
]


@pytest.mark.parametrize("layer", LAYERS)
def test_weights_have_the_spread_that_was_asked_for(layer: Callable[[], nn.Linear | nn.Conv2d]) -> None:
    torch.manual_seed(0)
    with FewRandomNumbers():
        weight = layer().weight
    bound = 1 / math.sqrt(weight[0].numel())  # kaiming_uniform_(a=sqrt(5)), what nn.Linear and nn.Conv2d begin with
    assert weight.requires_grad
    assert float(weight.detach().abs().max()) <= bound
    assert float(weight.detach().std()) == pytest.approx(bound / math.sqrt(3), rel=0.2)
    assert float(weight.detach()[-1].std()) > 0


def test_small_weights_repeat_nothing() -> None:
    with FewRandomNumbers():
        weight = nn.Conv2d(64, 64, 3).weight
    assert len(torch.unique(weight)) > 0.99 * weight.numel()


def test_other_initialisers_are_as_ever() -> None:
    with FewRandomNumbers():
        assert bool((nn.init.constant_(torch.empty(2000, 500), 3.0) == 3).all())
        normal = nn.init.normal_(torch.empty(2000, 500), mean=5.0, std=2.0)
        flat = torch.empty(1_000_000).uniform_(2, 3)
        scalar = nn.init.uniform_(torch.empty(()), 1, 2)
    assert float(normal.mean()) == pytest.approx(5, abs=0.05)
    assert float(normal.std()) == pytest.approx(2, rel=0.05)
    assert 2 <= float(flat.min()) < float(flat[-1:].max()) <= 3
    assert 1 <= float(scalar) <= 2
