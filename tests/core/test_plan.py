from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from segship.core.errors import InputError, PackageError, one_line, validation_line
from segship.core.mistakes import ValidationError
from segship.core.plan import METADATA, EmbeddedSpec, Int8, Plan, newer_version, read_embed
from segship.core.spec import ModelSpec, SizeRule
from segship.core.target import Target

SPEC = ModelSpec(source="mmseg", architecture="x", classes=("a", "b"), palette=((0, 0, 0), (1, 2, 3)))
PLAN = Plan(spec=SPEC, sizes=SizeRule(multiple_of=8), target=Target(backend="onnxruntime"), embed=("pre",))


def test_the_metadata_of_an_engine_is_what_earlier_versions_wrote() -> None:
    text = PLAN.metadata()[METADATA]
    assert list(json.loads(text)) == ["schema_version", "spec", "sizes", "target", "embed"]
    found = EmbeddedSpec.read(text, Path("a.onnx"))
    assert (found.spec, found.sizes, found.target, found.embed) == (SPEC, PLAN.sizes, PLAN.target, ("pre",))


def test_metadata_of_a_later_version_and_of_others_is_refused() -> None:
    with pytest.raises(PackageError, match=r"a\.onnx has schema version 9, this Segship reads up to 2: pip install -U"):
        EmbeddedSpec.read('{"schema_version": 9}', Path("a.onnx"))
    for text in ("", "[]", "{}", "[" * 100_000):
        with pytest.raises(PackageError, match="is not what Segship writes"):
            EmbeddedSpec.read(text, Path("a.onnx"))
    assert newer_version({"schema_version": 1}) == newer_version([]) == newer_version({}) == ""


def test_embed_is_read_in_the_order_of_the_work() -> None:
    assert read_embed("post, pre") == read_embed(("post", "pre")) == ("pre", "post")
    assert read_embed(()) == ()
    with pytest.raises(InputError, match="not 'all'"):
        read_embed("all")


@pytest.mark.parametrize("threshold", [0.0, 1.0, -0.1, 1.5])
def test_a_threshold_is_a_probability_that_some_logit_passes(threshold: float) -> None:
    with pytest.raises(ValidationError) as caught:
        ModelSpec.model_validate(SPEC.model_dump() | {"threshold": threshold})
    bound = "input should be greater than 0" if threshold <= 0 else "input should be less than 1"
    assert validation_line(caught.value) == f"threshold is {threshold}: {bound}"


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"images": 0}, "images is 0: input should be greater than 0"),
        ({"imges": 3}, "there is no 'imges'. Did you mean 'images'?"),
        ({"drop": "much", "images": 0}, "images is 0: input should be greater than 0; drop is 'much': input should be"),
    ],
)
def test_what_is_refused_is_one_sentence_for_each_mistake(values: dict[str, Any], line: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Int8.model_validate(values)
    assert validation_line(caught.value, known=Int8.model_fields).startswith(line)


def test_an_exception_is_one_short_line() -> None:
    error = RuntimeError("  \n first  line \n\n second\tline\n")
    assert one_line(error) == "first line"
    assert one_line(error, last=True) == "second line"
    assert one_line(error, joined=True) == "first line second line"
    assert one_line(ValueError()) == "ValueError"
    assert len(one_line("x" * 1000)) == 300
