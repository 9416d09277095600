"""What a checkpoint of lightly-train says of its network: the class's name and its arguments."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

from segship.core.errors import ConfigError, UnsupportedError, did_you_mean
from segship.reading.options import require_count

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["Arguments", "read_arguments"]

_KINDS = {"DINOv2EoMTSemanticSegmentation": False, "DINOv3EoMTSemanticSegmentation": True}
_OWN = frozenset({
    "model_name", "classes", "class_ignore_index", "image_size", "image_normalize", "num_queries", "num_joint_blocks",
    "backbone_freeze", "backbone_args", "backbone_weights", "backbone_url", "load_weights", "fix_num_upscale_blocks",
})  # fmt: skip
# Of a backbone: its patch stands in the weights, too, and the others are of training.
_OF_BACKBONE = frozenset({"patch_size", "drop_path_rate", "drop_path_uniform", "weights", "pretrained", "in_chans"})
_MOST = 2**15


class Arguments(NamedTuple):
    """The arguments of a network.

    Attributes:
        kind: Name of its class.
        rotary: Whether its backbone is DINOv3's.
        name: Of the network: ``dinov3/vits16-eomt``.
        classes: Name of each class by its number.
        size: (height, width) of the images of its training.
        mean: Of each channel, of pixels of 0 to 1.
        std: Their deviation.
        queries: Number of masks.
        joint: Blocks that see masks and patches together.
    """

    kind: str
    rotary: bool
    name: str
    classes: dict[int, str]
    size: tuple[int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    queries: int
    joint: int

    @property
    def backbone(self) -> str:
        """Name of the backbone alone: ``vits16``."""
        return self.name.rsplit("/", 1)[-1].removesuffix("-eomt")


def read_arguments(meta: Mapping[str, Any], what: str, unknown: Callable[[str], None]) -> Arguments:
    """Read ``model_class_path`` and ``model_init_args``.

    Args:
        meta: Both.
        what: The file, for messages.
        unknown: Called with a sentence for each argument that no version of the library has.

    Raises:
        UnsupportedError: The network is not one of EoMT's that label every pixel.
        ConfigError: An argument is missing, or has a value that the library does not take.
    """
    path, values = meta.get("model_class_path"), meta.get("model_init_args")
    kind = str(path).rsplit(".", 1)[-1]
    if kind not in _KINDS:
        raise UnsupportedError(
            f"{what} is a {kind:.80} of lightly-train, which is not provided: {' and '.join(_KINDS)} are"
        )
    if not isinstance(values, dict):
        raise ConfigError(f"{what}: model_init_args is {type(values).__name__}, expected a dictionary")
    nested = values.get("backbone_args") or {}
    if not isinstance(nested, dict):
        raise ConfigError(f"{what}: backbone_args is {nested!r:.80}, expected a dictionary")
    for given, known, where in ((values, _OWN, "model_init_args"), (nested, _OF_BACKBONE, "backbone_args")):
        for key in given:
            if key not in known:
                unknown(f"{what}: {kind} has no {where}.{key!s:.80}.{did_you_mean(str(key), known)}")
    normal = values.get("image_normalize")
    normal = normal if isinstance(normal, dict) else {}
    return Arguments(
        kind,
        _KINDS[kind],
        str(values.get("model_name")),
        _classes(values.get("classes"), what),
        _size(values.get("image_size"), what),
        _numbers(normal, "mean", what),
        _numbers(normal, "std", what),
        require_count(values.get("num_queries"), f"{what}: num_queries", most=_MOST),
        require_count(values.get("num_joint_blocks"), f"{what}: num_joint_blocks", most=_MOST),
    )


def _classes(value: Any, what: str) -> dict[int, str]:
    usable = isinstance(value, dict) and value and all(isinstance(key, int) for key in value)
    if not usable or not all(isinstance(name, str) for name in value.values()):
        raise ConfigError(f"{what}: classes is {value!r:.80}, expected numbers with names")
    return dict(value)


def _size(value: Any, what: str) -> tuple[int, int]:
    sides = tuple(value) if isinstance(value, (list, tuple)) else ()
    if len(sides) != 2 or not all(isinstance(side, int) and 0 < side <= _MOST for side in sides):  # noqa: PLR2004
        raise ConfigError(f"{what}: image_size is {value!r:.80}, expected (height, width)")
    return sides[0], sides[1]


def _numbers(values: Mapping[str, Any], name: str, what: str) -> tuple[float, ...]:
    found = values.get(name)
    numbers = tuple(found) if isinstance(found, (list, tuple)) else ()
    least = -math.inf if name == "mean" else 0.0
    if not numbers or not all(isinstance(one, (int, float)) and least < one < math.inf for one in numbers):
        raise ConfigError(f"{what}: image_normalize.{name} is {found!r:.80}, expected a number for each channel")
    return tuple(map(float, numbers))
