"""iSAID: objects in aerial images.

https://captain-whu.github.io/iSAID/
"""

from __future__ import annotations

from segship.datasets.layout import Layout, Split, split_table

__all__ = ["LAYOUTS"]

_CLASSES, _PALETTE = split_table("""
000000 background
00003f ship
003f3f store_tank
003f00 baseball_diamond
003f7f tennis_court
003fbf basketball_court
003fff Ground_Track_Field
007f3f Bridge
007f7f Large_Vehicle
00007f Small_Vehicle
0000bf Helicopter
0000ff Swimming_pool
00bf7f Roundabout
007fbf Soccer_ball_field
007fff plane
00649b Harbor
""")

LAYOUTS = {
    "isaid": Layout(
        title="iSAID",
        classes=_CLASSES,
        palette=_PALETTE,
        mmseg_types=("iSAIDDataset",),
        image_suffix=".png",
        label_suffix="_instance_color_RGB.png",
        splits={
            "train": Split("img_dir/train", "ann_dir/train"),
            "val": Split("img_dir/val", "ann_dir/val"),
        },
    ),
}
