"""A module from the mapping that a config nests inside another part's mapping."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, TypeVar

from segship.core.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["build_nested"]

_T = TypeVar("_T")
_NO_EFFECT = frozenset({
    "attn_drop",
    "batch_first",
    "dropout",
    "dropout_layer",
    "ffn_drop",
    "frozen_exclude",
    "im2col_step",
    "init_cfg",
    "num_cp",
    "proj_drop",
    "return_intermediate",
    "type",
})  # fmt: skip
"""Keywords of mmcv's and mmdet's transformer parts that change nothing at inference."""


def build_nested(unit: Callable[..., _T], cfg: Mapping[str, Any], **further: Any) -> _T:
    """``unit(**cfg, **further)`` without the keywords of ``cfg`` that change nothing at inference.

    Args:
        unit: Class or function to call.
        cfg: Keywords from a config.
        further: Keywords that the config does not decide; they win.

    Raises:
        ConfigError: A keyword is unknown, or one is missing.
    """
    name = getattr(unit, "__name__", "unit").lstrip("_")
    signature = inspect.signature(unit)
    keywords = {key: value for key, value in cfg.items() if key not in _NO_EFFECT or key in signature.parameters}
    keywords |= further
    for key in keywords:
        if key not in signature.parameters:
            raise ConfigError(f"{name} has no option {key!r}.{did_you_mean(key, signature.parameters)}")
    try:
        signature.bind(**keywords)
    except TypeError as error:
        raise ConfigError(f"{name}: {error}") from error
    return unit(**keywords)
