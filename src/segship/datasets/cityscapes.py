"""Cityscapes: driving scenes in German towns, 19 classes.

https://www.cityscapes-dataset.com/
"""

from __future__ import annotations

from segship.datasets.layout import LabelFile, Layout, Split, split_table

__all__ = ["CLASSES", "IDS", "LAYOUTS", "PALETTE", "published"]

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

IDS = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
"""What the files named ``labelIds`` store for each class."""


def published(suffix: str) -> tuple[LabelFile, ...]:
    """Return the label maps with the ids of all 34 labels, of which 19 count."""
    return (LabelFile(suffix, {number: label for label, number in enumerate(IDS)}),)


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
            "test": Split("leftImg8bit/test", "gtFine/test"),
        },
        published=published("_gtFine_labelIds.png"),
        submission=IDS,
    ),
}
