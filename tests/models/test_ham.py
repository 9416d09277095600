from __future__ import annotations

import torch

from segship.models.heads.ham import LightHamHead


def make_head() -> LightHamHead:
    torch.manual_seed(7)
    return LightHamHead(
        [8, 16], 12, num_classes=5, ham_channels=16, ham_kwargs={"MD_R": 4, "eval_steps": 7}, in_index=[0, 1]
    ).eval()


def make_maps(count: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    shapes = [(count, 8, 12, 10), (count, 16, 6, 5)]
    return [torch.rand(shape, generator=generator) for shape in shapes]


def test_two_runs_agree_whatever_was_drawn_between_them() -> None:
    head, maps = make_head(), make_maps(1)
    first = head(maps)
    torch.rand(3)
    assert torch.equal(head(maps), first)


def test_bases_are_those_of_seed_zero_and_independent_of_the_global_seed() -> None:
    torch.manual_seed(0)
    expected = torch.nn.functional.normalize(torch.rand(1, 16, 4), dim=1)
    assert torch.equal(make_head().hamburger.ham.bases[0], expected)


def test_bases_hold_numbers_even_when_the_network_is_laid_out_without_memory() -> None:
    with torch.device("meta"):
        head = make_head()
    assert head.squeeze.conv.weight.is_meta
    assert torch.equal(head.hamburger.ham.bases, make_head().hamburger.ham.bases)


def test_bases_are_no_weights() -> None:
    assert not [key for key in make_head().state_dict() if "bases" in key]


def test_an_image_gets_the_same_logits_alone_and_in_a_batch() -> None:
    head, maps = make_head(), make_maps(3)
    alone = torch.cat([head([y[i : i + 1] for y in maps]) for i in range(3)])
    torch.testing.assert_close(head(maps), alone, rtol=1e-4, atol=1e-5)
