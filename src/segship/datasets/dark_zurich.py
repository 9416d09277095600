"""Dark Zurich: driving at night, the classes of Cityscapes.

https://www.trace.ethz.ch/publications/2019/GCMA_UIoU/
"""

from __future__ import annotations

from segship.datasets.cityscapes import CLASSES, IDS, PALETTE, published
from segship.datasets.layout import Layout, Split

__all__ = ["LAYOUTS"]

LAYOUTS = {
    "dark_zurich": Layout(
        title="Dark Zurich",
        classes=CLASSES,
        palette=PALETTE,
        mmseg_types=("DarkZurichDataset",),
        image_suffix="_rgb_anon.png",
        label_suffix="_gt_labelTrainIds.png",
        splits={
            "val": Split("rgb_anon/val/night/GOPR0356", "gt/val/night/GOPR0356"),
        },
        published=published("_gt_labelIds.png"),
        submission=IDS,
    ),
}
