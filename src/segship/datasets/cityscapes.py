"""Cityscapes: driving scenes in German towns, 19 classes.

https://www.cityscapes-dataset.com/
"""

from __future__ import annotations

from segship.datasets.layout import Layout, Split, split_table

__all__ = ["CLASSES", "LAYOUTS", "PALETTE"]

CLASSES, PALETTE = split_table("""
804080 road
f423e8 sidewalk
464646 building
66669c wall
be9999 fence
999999 pole
faaa1e traffic light
dcdc00 traffic sign
6b8e23 vegetation
98fb98 terrain
4682b4 sky
dc143c person
ff0000 rider
00008e car
000046 truck
003c64 bus
005064 train
0000e6 motorcycle
770b20 bicycle
""")

LAYOUTS = {
    "cityscapes": Layout(
        title="Cityscapes",
        classes=CLASSES,
        palette=PALETTE,
        mmseg_types=("CityscapesDataset",),
        image_suffix="_leftImg8bit.png",
        label_suffix="_gtFine_labelTrainIds.png",
        splits={
            "train": Split("leftImg8bit/train", "gtFine/train"),
            "val": Split("leftImg8bit/val", "gtFine/val"),
        },
    ),
}
