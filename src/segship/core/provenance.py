"""Provenance: from where each value that a package relies on was read, and what was assumed instead."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from segship.core.frozen import Frozen, Words
from segship.core.validation import Bound

if TYPE_CHECKING:
    from segship.core.spec import ModelSpec, Normalization

__all__ = ["RANDOM_WEIGHTS", "Provenance", "Reading", "assumed", "default", "hexadecimal", "in_words", "read"]


RANDOM_WEIGHTS = "the weights are random, the masks mean nothing"
"""What is said of a network that nobody trained."""


class Reading(Frozen):
    """From where one value comes.

    Attributes:
        kind: ``"read"``: a file, a description or an option says it; ``"default"``: nothing does, and the framework
            itself then does the same; ``"assumed"``: nothing does, and it may be wrong.
        where: The place that says it, as ``config.py: data_preprocessor.mean``; whose default it is; or why it had to
            be assumed, as ``nothing in x.onnx says it``.
    """

    kind: Literal["read", "default", "assumed"]
    where: Words

    def __str__(self) -> str:
        return self.where if self.kind == "read" else f"{self.kind}: {self.where}"


def read(where: str) -> Reading:
    """Return the reading of a value that a place says.

    Args:
        where: File and key: ``config.py: data_preprocessor.mean``.
    """
    return Reading(kind="read", where=where)


def default(where: str) -> Reading:
    """Return the reading of a value that nothing says and that the framework itself has a default for.

    Args:
        where: Whose default: ``MMSegmentation pads nothing unless it is told to``.
    """
    return Reading(kind="default", where=where)


def assumed(why: str) -> Reading:
    """Return the reading of a value that nothing says and that may be another.

    Args:
        why: ``nothing in x.onnx says it``.
    """
    return Reading(kind="assumed", where=why)


_MOST_IGNORED = 1000


class Provenance(Frozen):
    """From where each value comes that decides over a mask, and what else is not the network's own word.

    Attributes:
        channel_order, normalization, size_rule, padding, inference, output, threshold, classes, palette: Of the values
            that `in_words` tells by the same names.
        ignored: A sentence for each option that was passed over because the user asked for it.
        random_weights: Whether the network has random weights, because no checkpoint was named.
    """

    channel_order: Reading
    normalization: Reading
    size_rule: Reading
    padding: Reading
    inference: Reading
    output: Reading
    threshold: Reading
    classes: Reading
    palette: Reading
    ignored: Annotated[tuple[Words, ...], Bound(most=_MOST_IGNORED)] = ()
    random_weights: bool = False

    @classmethod
    def everywhere(cls, reading: Reading) -> Provenance:
        """Return the provenance of values that all come from one place."""
        return cls.model_validate(dict.fromkeys(_VALUES, reading))

    def readings(self) -> dict[str, Reading]:
        """Return the reading of each value, in the order and by the names of `in_words`."""
        return {name: getattr(self, name) for name in _VALUES}

    def assumptions(self, spec: ModelSpec) -> tuple[str, ...]:
        """Return what was assumed, with the reason.

        Args:
            spec: Holds the values.

        Returns:
            For each assumption ``channel order RGB (nothing in x.onnx says it)``; those of one reason together.
        """
        words, reasons = in_words(spec), dict[str, list[str]]()
        for name, reading in self.readings().items():
            if reading.kind == "assumed":
                reasons.setdefault(reading.where, []).append(f"{name.replace('_', ' ')} {words[name]}")
        return tuple(f"{', '.join(values)} ({why})" for why, values in reasons.items())


_VALUES = tuple(name for name, kind in Provenance.__annotations__.items() if kind == Reading.__name__)
_MANY = 4


_SCALED = {
    "none": "as it is",
    "deviation": "its own mean and deviation",
    "range": "its own range",
    "whole_deviation": "the image's mean and deviation",
    "whole_range": "the image's range",
    "nonzero_deviation": "its own mean and deviation where it is not zero, the rest left alone",
    "inside_deviation": "its own mean and deviation where any channel is not zero, the rest left alone",
}


_WAYS = {"to_input": "; decided at the input's size, the mask resized by its nearest pixels"}


def _normalization(rule: Normalization) -> str:
    """Mean and deviation, after what is done to values before."""
    before = []
    if rule.clip is not None:
        before.append(f"clipped to {', '.join(f'{low:.6g} to {high:.6g}' for low, high in rule.clip)}")
    if rule.statistics:
        kinds = [_SCALED[kind] for kind in rule.statistics]
        before.append(f"scaled by {kinds[0] if len(set(kinds)) == 1 else ', '.join(kinds)}")
    if before and set(rule.mean) == {0.0} and set(rule.std) == {1.0}:
        return "; ".join(before)
    exact = "" if rule.arithmetic == "float32" else f", in {rule.arithmetic}"
    return "; ".join([*before, f"mean {_numbers(rule.mean)}; std {_numbers(rule.std)}{exact}"])


def in_words(spec: ModelSpec) -> dict[str, str]:
    """Return the values of ``spec`` that decide over a mask, for people, by the names of `Provenance`."""
    return {
        "channel_order": _channel_order(spec),
        "normalization": _normalization(spec.normalization),
        "size_rule": "; ".join(map(str, spec.geometry)) or "the image's own size",
        "padding": "none" if spec.padding is None else str(spec.padding),
        "inference": ("whole image" if spec.slide is None else str(spec.slide)) + _WAYS.get(spec.resize_logits, ""),
        "output": spec.output if spec.returns == "logits" else f"{spec.output}, of {spec.returns}",
        "threshold": f"label 1 above {spec.threshold:.6g}" if spec.output == "sigmoid" else "none: the greatest score",
        "classes": f"{len(spec.classes)}: {_some(spec.classes)}",
        "palette": _some([hexadecimal(colour) for colour in spec.palette]),
    }


def hexadecimal(colour: tuple[int, int, int]) -> str:
    """Return a colour as ``#804080``."""
    return "#{:02x}{:02x}{:02x}".format(*colour)


def _channel_order(spec: ModelSpec) -> str:
    if spec.pixels == "multispectral":
        return "1 band as stored" if spec.channels == 1 else f"{spec.channels} bands as stored"
    return "grey" if spec.channels == 1 else spec.normalization.channel_order.upper()


def _numbers(values: tuple[float, ...]) -> str:
    return " ".join(f"{value:.6g}" for value in values)


def _some(names: tuple[str, ...] | list[str]) -> str:
    return ", ".join(names[:_MANY]) + (", …" if len(names) > _MANY else "")
