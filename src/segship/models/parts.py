"""One part of a network from the mapping a config gives for it."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from segship.core.errors import ConfigError, did_you_mean

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
    "frozen_stages",
    "ignore_index",
    "init_cfg",
    "loss_cls",
    "loss_decode",
    "loss_dice",
    "loss_mask",
    "loss_se_decode",
    "norm_eval",
    "pretrained",
    "sampler",
    "train_cfg",
    "with_cp",
    "zero_init_residual",
})  # fmt: skip
"""Keywords that change nothing at inference: dropped where a constructor does not name them."""


def build_part(
    registry: Registry[type[nn.Module]], cfg: Mapping[str, Any], defaults: Mapping[str, Any] | None = None
) -> nn.Module:
    """The unit that ``cfg["type"]`` names, with the other entries as keywords.

    Args:
        registry: Where the unit is looked up; a scope before its name (``mmpretrain.PoolFormer``) is cut off.
        cfg: The part's mapping.
        defaults: Further keywords, used where the constructor names them and ``cfg`` does not.

    Returns:
        The part, with random weights.

    Raises:
        ConfigError: There is no type, a keyword is unknown, or one is missing.
        UnsupportedError: No unit has that name, or it refuses a setting.
    """
    if "type" not in cfg:
        raise ConfigError(f"a {registry.kind} needs a type; found only {', '.join(cfg) or 'nothing'}")
    name = str(cfg["type"]).rpartition(".")[2]
    unit = registry[name]
    signature = inspect.signature(unit)
    known = signature.parameters
    keywords = {key: value for key, value in (defaults or {}).items() if key in known}
    keywords |= {key: value for key, value in cfg.items() if key != "type"}
    keywords = {key: value for key, value in keywords.items() if key in known or key not in TRAINING_ONLY}
    for key in keywords:
        if key not in known:
            raise ConfigError(f"{registry.kind} {name} has no option {key!r}.{did_you_mean(key, known)}")
    try:
        signature.bind(**keywords)
    except TypeError as error:
        raise ConfigError(f"{registry.kind} {name}: {error}") from error
    return unit(**keywords)
