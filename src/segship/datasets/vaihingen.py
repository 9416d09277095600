"""ISPRS Vaihingen: land cover of a town in aerial images.

https://www.isprs.org/education/benchmarks/UrbanSemLab/
"""

from __future__ import annotations

from segship.datasets.layout import Layout, Split, split_table

__all__ = ["LAYOUTS"]

_CLASSES, _PALETTE = split_table("""
ffffff impervious_surface
0000ff building
00ffff low_vegetation
00ff00 tree
ffff00 car
ff0000 clutter
""")

LAYOUTS = {
    "vaihingen": Layout(
        title="ISPRS Vaihingen",
        classes=_CLASSES,
        palette=_PALETTE,
        mmseg_types=("ISPRSDataset",),
        image_suffix=".png",
        splits={
            "train": Split("img_dir/train", "ann_dir/train"),
            "val": Split("img_dir/val", "ann_dir/val"),
        },
        reduce_zero_label=True,
    ),
}
