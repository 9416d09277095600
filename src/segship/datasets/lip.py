"""LIP (Look Into Person): parts of people and their clothes.

https://lip.sysuhcp.com/
"""

from __future__ import annotations

from segship.datasets.layout import Layout, split_table

__all__ = ["LAYOUTS"]

_CLASSES, _PALETTE = split_table("""
000000 Background
800000 Hat
ff0000 Hair
005500 Glove
aa0033 Sunglasses
ff5500 UpperClothes
000055 Dress
0077dd Coat
555500 Socks
005555 Pants
553300 Jumpsuits
345680 Scarf
008000 Skirt
0000ff Face
33aadd Left-arm
00ffff Right-arm
55ffaa Left-leg
aaff55 Right-leg
ffff00 Left-shoe
ffaa00 Right-shoe
""")

LAYOUTS = {
    "lip": Layout(
        title="LIP",
        classes=_CLASSES,
        palette=_PALETTE,
        mmseg_types=("LIPDataset",),
    ),
}
