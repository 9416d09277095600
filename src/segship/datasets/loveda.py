"""LoveDA: land cover in town and country, seen from above.

https://github.com/Junjue-Wang/LoveDA
"""

from __future__ import annotations

from segship.datasets.layout import Layout, Split, split_table

__all__ = ["LAYOUTS"]

_CLASSES, _PALETTE = split_table("""
ffffff background
ff0000 building
ffff00 road
0000ff water
9f81b7 barren
00ff00 forest
ffc380 agricultural
""")

LAYOUTS = {
    "loveda": Layout(
        title="LoveDA",
        classes=_CLASSES,
        palette=_PALETTE,
        mmseg_types=("LoveDADataset",),
        image_suffix=".png",
        splits={
            "train": Split("img_dir/train", "ann_dir/train"),
            "val": Split("img_dir/val", "ann_dir/val"),
        },
        reduce_zero_label=True,
    ),
    "loveda_raw": Layout(
        title="LoveDA as it was published",
        classes=_CLASSES,
        palette=_PALETTE,
        image_suffix=".png",
        splits={"train": Split("Train", "Train"), "val": Split("Val", "Val")},
        reduce_zero_label=True,
        beside=("images_png", "masks_png"),
    ),
}
