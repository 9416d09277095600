"""Write the skeleton of a decode head: ``make new-head NAME=FancyHead``."""

from __future__ import annotations

import re
import sys
from pathlib import Path

SKELETON = '''"""{title} head: one sentence on what it does.

Source: paper title (arXiv:0000.00000); upstream ``mmseg/models/decode_heads/{file}_head.py`` (Apache-2.0).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from segship.models.layers.conv import RELU, Cfg, ConvModule
from segship.models.layers.decode_head import DecodeHead, Features
from segship.models.registry import heads

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["{name}"]


@heads.register
class {name}(DecodeHead):
    """What it does to the feature map, in one sentence.

    Args:
        in_channels, channels, num_classes, out_channels, threshold, in_index, align_corners: As `DecodeHead`.
        norm_cfg, act_cfg: As `ConvModule`.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        *,
        num_classes: int,
        out_channels: int | None = None,
        threshold: float | None = None,
        in_index: int = -1,
        align_corners: bool = False,
        norm_cfg: Cfg | None = None,
        act_cfg: Cfg | None = RELU,
    ) -> None:
        super().__init__(
            in_channels,
            channels,
            num_classes=num_classes,
            out_channels=out_channels,
            threshold=threshold,
            in_index=in_index,
            align_corners=align_corners,
        )
        # Attribute names are state-dict keys: take them from the upstream network.
        self.bottleneck = ConvModule(self.width, channels, 3, padding=1, norm_cfg=norm_cfg, act_cfg=act_cfg)

    def forward(self, features: Features) -> Tensor:
        """Feature maps -> logits (N, out_channels, h, w)."""
        return self.classify(self.bottleneck(self.select(features)))
'''


def main() -> int:
    """Write the file; refuse to overwrite one."""
    name = sys.argv[1] if len(sys.argv) == 2 else ""
    if not re.fullmatch(r"[A-Z][A-Za-z0-9]+Head", name):
        print("usage: make new-head NAME=FancyHead   (upstream's class name, ending in Head)", file=sys.stderr)
        return 2
    stem = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name.removesuffix("Head")).lower()
    path = Path(__file__).parents[1] / "src" / "segship" / "models" / "heads" / f"{stem}.py"
    if path.exists():
        print(f"{path} exists", file=sys.stderr)
        return 2
    path.write_text(SKELETON.format(name=name, title=name.removesuffix("Head"), file=stem), encoding="utf-8")
    print(f"{path}: fill it in, then record its reference with oracles/record_reference.py")
    return 0


if __name__ == "__main__":
    sys.exit(main())
