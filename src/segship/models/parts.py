"""One part of a network from the mapping a config gives for it."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from segship.core.errors import ConfigError, SegshipError, UnsupportedError, did_you_mean
from segship.networks.bounds import MAXIMUM_NUMBER, number_beyond

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import nn

    from segship.core.registry import Registry

__all__ = ["TRAINING_ONLY", "build_part"]

TRAINING_ONLY = frozenset({
    "attn_drop_rate",
    "drop_path_rate",
    "drop_rate",
    "dropout_ratio",
    "frozen_exclude", "frozen_stages",
    "ignore_index",
    "init_cfg",
    "init_std",
    "loss_cls",
    "loss_decode",
    "loss_dice",
    "loss_mask",
    "loss_se_decode",
    "norm_eval",
    "num_stuff_classes", "num_things_classes",
    "pretrained",
    "sampler",
    "train_cfg",
    "with_cp",
    "zero_init_residual",
})  # fmt: skip
"""Keywords that change nothing at inference: dropped where a constructor does not name them."""


_MARKS = frozenset({"_delete_", "_scope_", "type"})
_PLAIN_CONVOLUTIONS = (None, {"type": "Conv2d"}, {"type": "Conv"})  # any part may be told to use what it uses anyway
_WRONG_VALUE = (TypeError, ValueError, KeyError, IndexError, AttributeError, ArithmeticError, RuntimeError)


def build_part(registry: Registry[type[nn.Module]], cfg: Any) -> nn.Module:
    """The unit that ``cfg["type"]`` names, with the other entries as keywords.

    Args:
        registry: Where the unit is looked up; a scope before its name (``mmpretrain.PoolFormer``) is cut off.
        cfg: The part's mapping, as it stands in a config.

    Returns:
        The part, with random weights.

    Raises:
        ConfigError: ``cfg`` is no mapping with a type, options are unknown or missing, or a value is wrong.
        UnsupportedError: No unit has that name, or it refuses a setting.
    """
    if not isinstance(cfg, dict) or not isinstance(cfg.get("type"), str):
        raise ConfigError(f"expected a dictionary with the type of a {registry.kind}, found {cfg!r:.60}")
    name = cfg["type"].rpartition(".")[2]
    unit = registry[name]
    known = inspect.signature(unit).parameters
    given = {key: value for key, value in cfg.items() if key in known or not _changes_nothing(key, value)}
    _require_fitting(name, given, known)
    if (number := number_beyond(given)) is not None:
        raise UnsupportedError(
            f"{name} is asked for {number!r:.20}, more than {MAXIMUM_NUMBER}: no real network has that"
        )
    try:
        return unit(**given)
    except SegshipError:
        raise
    except _WRONG_VALUE as error:
        reason = (str(error).splitlines() or [""])[0]
        problem = f"{type(error).__name__}: {reason:.200}"
        raise ConfigError(f"{name} cannot be built with these options ({problem})") from error


def _require_fitting(name: str, given: Mapping[str, Any], known: Mapping[str, inspect.Parameter]) -> None:
    """Refuse options that a unit does not have, and the lack of those that it needs."""
    strange = [f"{name} has no option {key!r}.{did_you_mean(str(key), known)}" for key in given if key not in known]
    needed = [key for key, option in known.items() if option.default is option.empty]
    missing = [f"{name} needs the option {key!r}." for key in needed if key not in given]
    if strange or missing:
        raise ConfigError(" ".join(strange + missing))


def _changes_nothing(key: str, value: Any) -> bool:
    return key in TRAINING_ONLY | _MARKS or (key == "conv_cfg" and value in _PLAIN_CONVOLUTIONS)
