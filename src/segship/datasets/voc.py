"""PASCAL VOC 2012: objects in 20 classes, and background.

http://host.robots.ox.ac.uk/pascal/VOC/voc2012/
"""

from __future__ import annotations

from segship.datasets.layout import Layout, Split, split_table

__all__ = ["LAYOUTS"]

_CLASSES, _PALETTE = split_table("""
000000 background
800000 aeroplane
008000 bicycle
808000 bird
000080 boat
800080 bottle
008080 bus
808080 car
400000 cat
c00000 chair
408000 cow
c08000 diningtable
400080 dog
c00080 horse
408080 motorbike
c08080 person
004000 pottedplant
804000 sheep
00c000 sofa
80c000 train
004080 tvmonitor
""")

LAYOUTS = {
    "voc": Layout(
        title="PASCAL VOC 2012",
        classes=_CLASSES,
        palette=_PALETTE,
        mmseg_types=("PascalVOCDataset",),
        splits={
            "train": Split("JPEGImages", "SegmentationClass", "ImageSets/Segmentation/train.txt"),
            "val": Split("JPEGImages", "SegmentationClass", "ImageSets/Segmentation/val.txt"),
        },
    ),
}
