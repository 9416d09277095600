"""CamVid: driving scenes, the eleven classes that most papers use.

http://mi.eng.cam.ac.uk/research/projects/VideoRec/CamVid/
"""

from __future__ import annotations

from segship.datasets.layout import Layout, Split, split_table

__all__ = ["LAYOUTS"]

_CLASSES, _PALETTE = split_table("""
808080 sky
800000 building
c0c080 pole
804080 road
3c28de pavement
808000 tree
c08080 sign
404080 fence
400080 car
404000 pedestrian
0080c0 bicyclist
""")

LAYOUTS = {
    "camvid": Layout(
        title="CamVid",
        classes=_CLASSES,
        palette=_PALETTE,
        image_suffix=".png",
        splits={
            "train": Split("img_dir/train", "ann_dir/train"),
            "val": Split("img_dir/val", "ann_dir/val"),
            "test": Split("img_dir/test", "ann_dir/test"),
        },
    ),
}
