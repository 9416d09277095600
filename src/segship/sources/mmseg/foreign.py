"""Networks of modules that only the user has, built by the MMSegmentation that is installed beside: their code runs."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from segship.core.errors import ConfigError, SegshipError, UnsupportedError, one_line
from segship.networks.wrapped import WrappedNetwork

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import ModuleType

__all__ = ["build_foreign"]


def build_foreign(values: Mapping[str, Any]) -> WrappedNetwork:
    """Build the network that the installed MMSegmentation (1.x, or its fork onedl-mmsegmentation) makes of a config.

    Args:
        values: The config; its ``custom_imports`` are imported, as training did.

    Returns:
        In evaluation mode, with random weights under the framework's own names.

    Raises:
        UnsupportedError: MMSegmentation cannot be imported here.
        ConfigError: The framework refuses the config.
    """
    registry = _registry()
    try:
        _import_custom(values.get("custom_imports"))
        model = registry.MODELS.build(_plain(dict(values["model"])))
    except SegshipError:
        raise
    except Exception as error:
        raise ConfigError(
            f"MMSegmentation does not build this model: {type(error).__name__}: {one_line(error, joined=True)}"
        ) from error
    head: Any = model.decode_head[-1] if isinstance(model.decode_head, nn.ModuleList) else model.decode_head
    model.requires_grad_(requires_grad=False).eval()
    network = WrappedNetwork(
        _Logits(model, head),
        head.num_classes,
        out_channels=getattr(head, "out_channels", head.num_classes),
        align_corners=model.align_corners,
    )
    network.threshold = getattr(head, "threshold", None)
    return network


class _Logits(nn.Module):
    """A segmentor of the framework, ended before its last resize where that is all that comes after its head."""

    def __init__(self, model: Any, head: Any) -> None:
        super().__init__()
        self.model = model
        # A head of its own kind of prediction (masks with classes) makes logits in predict only.
        self.plain = not _overridden(head, "predict") and not _overridden(head, "predict_by_feat")

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> logits (N, K, h, w)."""
        if self.plain:
            logits: Tensor = self.model(x, mode="tensor")
            return logits
        size = (x.shape[2], x.shape[3])
        meta = {"img_shape": size, "ori_shape": size, "pad_shape": size, "batch_input_shape": size}
        whole: Tensor = self.model.encode_decode(x, [meta] * x.shape[0])
        return whole


def _overridden(head: Any, name: str) -> bool:
    """Whether the head's class replaces what the framework's base class does."""
    module = importlib.import_module("mmseg.models.decode_heads.decode_head")
    return getattr(type(head), name, None) is not getattr(module.BaseDecodeHead, name)


def _registry() -> ModuleType:
    try:
        scope = importlib.import_module("mmengine.registry")
        importlib.import_module("mmseg.models")
        registry = importlib.import_module("mmseg.registry")
    except Exception as error:
        reason = one_line(error, joined=True)
        raise UnsupportedError(
            f"building modules of your own needs an MMSegmentation that can be imported here ({reason}): install the "
            "one you train with, or its fork: pip install onedl-mmsegmentation"
        ) from error
    scope.init_default_scope("mmseg")
    return registry


def _import_custom(imports: Any) -> None:
    if not isinstance(imports, dict):
        return
    names = imports.get("imports") or []
    for name in [names] if isinstance(names, str) else names:
        try:
            importlib.import_module(str(name))
        except ImportError:
            if not imports.get("allow_failed_imports"):
                raise


def _plain(model: dict[str, Any]) -> dict[str, Any]:
    """Without what would fetch weights."""
    model.pop("pretrained", None)
    model["train_cfg"] = None
    for key, part in model.items():
        if isinstance(part, dict) and key != "test_cfg":
            model[key] = {name: value for name, value in part.items() if name not in {"pretrained", "init_cfg"}}
    return model
