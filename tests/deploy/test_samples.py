from __future__ import annotations

import pytest

from segship.core.spec import ModelSpec, SizeRule
from segship.deploy.samples import TRACED, verification_inputs

SPEC = ModelSpec(source="test", architecture="any", classes=("a", "b"), palette=((0, 0, 0), (1, 1, 1)))


@pytest.mark.parametrize(
    "rule", [SizeRule(), SizeRule(multiple_of=32), SizeRule(minimum=(512, 300)), SizeRule(multiple_of=64)]
)
def test_a_free_network_is_verified_at_sizes_it_was_not_traced_at(rule: SizeRule) -> None:
    shapes = [tensor.shape for _, tensor in verification_inputs(SPEC, rule, [], batch=True)]
    traced = rule.nearest(*TRACED)
    assert {shape[0] for shape in shapes} == {1, 2}
    assert any(shape[0] == 2 and shape[2:] != traced for shape in shapes)
    assert all(rule.allows(*shape[2:]) for shape in shapes)


def test_a_network_of_one_size_is_verified_at_it() -> None:
    rule = SizeRule(fixed=(64, 96))
    assert {tensor.shape for _, tensor in verification_inputs(SPEC, rule, [], batch=True)} == {
        (1, 3, 64, 96),
        (2, 3, 64, 96),
    }
