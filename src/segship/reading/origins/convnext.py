"""ConvNeXt, V1 and V2, of timm and of Meta's repositories, for `ConvNeXt`.

Source: ConvNeXt (arXiv:2201.03545), ConvNeXt V2 (arXiv:2301.00808).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from segship.reading.key_rules import DROP

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from segship.reading.key_rules import Rules, State

__all__ = ["ABSENT", "OPTIONAL", "RULES", "TITLE", "finish", "recognises"]

TITLE = "ConvNeXt, timm and official"
OPTIONAL = r"norm\d\.\w+"
ABSENT = r"norm\d\.\w+"

_P = r"(weight|bias)"
_TIMM = r"stages\.(\d+)\.blocks\.(\d+)"
_META = r"stages\.(\d+)\.(\d+)"
RULES: Rules = (
    (rf"stem\.(\d)\.{_P}", r"downsample_layers.0.\1.\2"),
    (rf"stages\.(\d+)\.downsample\.(\d)\.{_P}", r"downsample_layers.\1.\2.\3"),
    (rf"{_TIMM}\.conv_dw\.{_P}", r"stages.\1.\2.depthwise_conv.\3"),
    (rf"{_TIMM}\.norm\.{_P}", r"stages.\1.\2.norm.\3"),
    (rf"{_TIMM}\.mlp\.fc([12])\.{_P}", r"stages.\1.\2.pointwise_conv\3.\4"),
    (rf"{_TIMM}\.mlp\.grn\.weight", r"stages.\1.\2.grn.gamma"),
    (rf"{_TIMM}\.mlp\.grn\.bias", r"stages.\1.\2.grn.beta"),
    (rf"{_TIMM}\.gamma", r"stages.\1.\2.gamma"),
    (rf"downsample_layers\.(\d)\.(\d)\.{_P}", r"\g<0>"),
    (rf"{_META}\.dwconv\.{_P}", r"stages.\1.\2.depthwise_conv.\3"),
    (rf"{_META}\.norm\.{_P}", r"\g<0>"),
    (rf"{_META}\.pwconv([12])\.{_P}", r"stages.\1.\2.pointwise_conv\3.\4"),
    (rf"{_META}\.grn\.(gamma|beta)", r"\g<0>"),
    (rf"{_META}\.gamma", r"\g<0>"),
    (rf"(?:head\.)?norm\.{_P}", r"norm3.\1"),
    (rf"norm\d\.{_P}", r"\g<0>"),
    (r"head\..+", DROP),
)


def recognises(state: Mapping[str, Tensor]) -> bool:
    """Recognise the network by the depthwise convolution of the first block."""
    return bool({"stages.0.blocks.0.conv_dw.weight", "stages.0.0.dwconv.weight"} & state.keys())


def finish(state: State) -> State:
    """Response normalisation keeps one number for each channel; 1x1 convolutions become matrices."""
    return {key: _flat(key, value) for key, value in state.items()}


def _flat(key: str, value: Tensor) -> Tensor:
    if ".grn." in key:
        return value.flatten()
    return value.flatten(1) if ".pointwise_conv" in key and key.endswith("weight") else value
