"""Records read from data: what is taken, what is refused, and how they stay as they are."""

from __future__ import annotations

import copy
import inspect
import json
import math
import pickle
from typing import Annotated, Any, Literal, NotRequired, TypedDict

import numpy as np
import pytest

from segship.core.errors import validation_line
from segship.core.frozen import UNWRITTEN, Finite, Frozen, Name, Words
from segship.core.mistakes import ValidationError
from segship.core.validation import After, Before, Bound, Tag, reader_of


class Circle(Frozen):
    kind: Literal["circle"] = "circle"
    radius: Annotated[int, Bound(gt=0)]


class Line(Frozen):
    kind: Literal["line"] = "line"
    ends: tuple[float, float] = (0.0, 1.0)


class Drawing(Frozen):
    shapes: tuple[Annotated[Circle | Line, Tag("kind")], ...] = ()
    first: Circle | None = None
    words: dict[Name, Words] = {}
    hidden: Annotated[int, UNWRITTEN] = 0

    def _require_consistent(self) -> None:
        if self.first is not None and not self.shapes:
            raise ValueError("A first circle needs shapes")


DATA = {"shapes": [{"kind": "circle", "radius": 2}, {"kind": "line", "ends": [1, 2.5]}], "words": {"a": "b\nc"}}


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        (int, 8.0, 8), (int, np.int64(3), 3), (float, 3, 3.0), (float, np.float32(0.5), 0.5), (bool, 1, True),
        (tuple[int, ...], [1, 2], (1, 2)), (list[str], ("a",), ["a"]), (dict[str, int], {"a": 1}, {"a": 1}),
        (int | str, "7", "7"), (bool | int | float, 5.0, 5.0), (bool | int | float, True, True),
        (int | None, None, None),
        (tuple[str, ...] | int, ["a"], ("a",)), (Any, ..., ...), (Literal["a", 1], 1, 1),
        (Annotated[str, Before(str.strip), After(str.upper)], " a ", "A"), (Annotated[Finite, Bound(gt=0)], 1, 1.0),
    ],
)  # fmt: skip
def test_a_value_is_read_as_its_type(kind: Any, value: Any, expected: Any) -> None:
    found = reader_of(kind)(value)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("kind", "value", "said"),
    [
        (int, True, "input should be a valid integer"), (int, "8", "unable to parse string as an integer"),
        (int, 2.5, "got a number with a fractional part"), (int, math.inf, "input should be a finite number"),
        (float, False, "input should be a valid number"), (float, "1", "unable to parse string as a number"),
        (float, None, "input should be a valid number"), (bool, 2, "input should be a valid boolean"),
        (bool, "true", "unable to interpret input"), (str, 1, "input should be a valid string"),
        (Literal[1, 2], True, "input should be 1 or 2"), (Literal["a", "b", "c"], "d", "should be 'a', 'b' or 'c'"),
        (tuple[int, ...], "12", "input should be a valid tuple"), (tuple[int, int], [1], "1 is missing"),
        (tuple[int, int], [1, 2, 3, 4], "at most 2 items after validation, not 4"),
        (Annotated[tuple[int, ...], Bound(most=1)], ["x"] * 9, "at most 1 item after validation, not more"),
        (Annotated[dict[str, int], Bound(least=1)], {}, "dictionary should have at least 1 item"),
        (dict[str, int], [], "input should be a valid dictionary"), (dict[Name, int], {"\0": 1}, "that is no text"),
        (int | str, [], "input should be a valid integer or a valid string"),
        (tuple[str, ...] | int, ["a", 2], "1 is 2: input should be a valid string"),
        (int | None, "x", "input should be a valid integer, unable to parse string as an integer"),
        (Annotated[float, Bound(gt=0, lt=1)], math.nan, "greater than 0"),
        (Annotated[int, Bound(le=2)], 3, "equal to 2"),
        (Annotated[int, Bound(whole=True)], 1.0, "input should be a valid integer"),
        (Annotated[str, Bound(pattern="^a$")], "a\n", "string should match pattern '^a$'"),
        (Annotated[str, Bound(least=2)], "a", "string should have at least 2 characters"),
        (Circle, 3, "input should be a valid dictionary or instance of Circle"),
        (Annotated[Circle | Line, Tag("kind")], {}, "unable to extract tag using discriminator 'kind'"),
        (Annotated[Circle | Line, Tag("kind")], {"kind": []}, "any of the expected tags: 'circle', 'line'"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(kind: Any, value: Any, said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        reader_of(kind)(value)
    assert said in validation_line(caught.value)


def test_every_mistake_is_told_with_its_place() -> None:
    data = {"shapes": [{"kind": "circle", "radius": 0}, {"kind": "line", "ends": [1]}], "first": {}, "more": 1}
    with pytest.raises(ValidationError) as caught:
        Drawing.model_validate(data)
    assert validation_line(caught.value, known=Drawing.model_fields) == (
        "shapes.0.circle.radius is 0: input should be greater than 0; shapes.1.line.ends.1 is missing; "
        "first.radius is missing; there is no 'more'."
    )
    with pytest.raises(ValidationError) as caught:
        Drawing(first=Circle(radius=1))
    assert validation_line(caught.value) == "a first circle needs shapes"


def test_a_record_is_written_as_it_is_read() -> None:
    drawing = Drawing.model_validate(DATA | {"hidden": 3})
    assert drawing.shapes == (Circle(radius=2), Line(ends=(1.0, 2.5)))
    assert drawing.words == {"a": "b c"}
    assert drawing.model_dump() == {
        "shapes": ({"kind": "circle", "radius": 2}, {"kind": "line", "ends": (1.0, 2.5)}),
        "first": None,
        "words": {"a": "b c"},
    }
    assert drawing.model_dump(exclude_unset=True, exclude={"words"}) == {
        "shapes": ({"kind": "circle", "radius": 2}, {"kind": "line", "ends": (1.0, 2.5)})
    }
    assert Drawing.model_validate_json(drawing.model_dump_json()) == drawing.model_copy(update={"hidden": 0})
    assert json.loads(Line(ends=(math.nan, math.inf)).model_dump_json())["ends"] == [None, None]


def test_a_record_stays_as_it_is() -> None:
    drawing, default = Drawing.model_validate(DATA), Drawing()
    with pytest.raises(
        AttributeError, match=r"Drawing.hidden cannot be changed: model_copy\(update=...\) makes another"
    ):
        drawing.hidden = 2  # type: ignore[misc]
    with pytest.raises(AttributeError, match="cannot be taken away"):
        del drawing.hidden
    default.words["a"] = "not in the next one"
    assert Drawing().words == {}
    for same in (copy.copy(drawing), copy.deepcopy(drawing), pickle.loads(pickle.dumps(drawing))):  # noqa: S301
        assert same == drawing
        assert same.model_fields_set == {"shapes", "words"}
    assert drawing not in (Drawing(), DATA)
    assert len({Circle(radius=1), Circle(radius=1), Circle(radius=2)}) == 2
    assert repr(Circle(radius=1)) == "Circle(kind='circle', radius=1)"
    assert str(inspect.signature(Line)) == "(*, kind: Literal['line'] = 'line', ends: tuple[float, float] = (0.0, 1.0))"


class Other(Line):
    ends: tuple[float, float]


def test_a_field_that_is_said_again_without_a_default_is_required() -> None:
    with pytest.raises(ValidationError, match="ends"):
        Other()


class Document(TypedDict):
    name: str
    size: NotRequired[int]


def test_a_typed_dictionary_keeps_what_it_does_not_name() -> None:
    read = reader_of(Document)
    assert read({"name": "a", "more": [1]}) == {"name": "a", "more": [1]}
    with pytest.raises(ValidationError) as caught:
        read({"size": "x"})
    assert validation_line(caught.value).startswith("size is 'x': input should be a valid integer")
    assert validation_line(caught.value).endswith("; name is missing")


def test_a_mark_that_nobody_reads_is_an_error() -> None:
    with pytest.raises(TypeError, match="which nobody reads"):
        reader_of(Annotated[int, object()])
