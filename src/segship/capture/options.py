"""What a capture is asked for, whatever it writes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["CaptureOptions"]


@dataclass(frozen=True)
class CaptureOptions:
    """How a network is captured.

    Attributes:
        size: (height, width) of the example, one the network takes.
        channels: Number of image channels.
        dynamic: Whether batch, height and width stay free; otherwise they are ``batch`` and ``size``. A network of one
            fixed size keeps height and width fixed all the same.
        batch: Images at once where ``dynamic`` is False; only ONNX that we trace takes another than 1.
        metadata: Written into the file.
        opset: Version of ONNX's operators, 18 or later; None: the one that suits the network. Other formats have none.
    """

    size: tuple[int, int]
    channels: int = 3
    dynamic: bool = True
    metadata: Mapping[str, str] = field(default_factory=dict)
    opset: int | None = None
    batch: int = 1
