"""Night Driving: test images taken at night, the classes of Cityscapes.

http://people.ee.ethz.ch/~daid/NightDriving/
"""

from __future__ import annotations

from segship.datasets.cityscapes import CLASSES, IDS, PALETTE, published
from segship.datasets.layout import Layout, Split

__all__ = ["LAYOUTS"]

LAYOUTS = {
    "night_driving": Layout(
        title="Night Driving",
        classes=CLASSES,
        palette=PALETTE,
        mmseg_types=("NightDrivingDataset",),
        image_suffix="_leftImg8bit.png",
        label_suffix="_gtCoarse_labelTrainIds.png",
        splits={
            "test": Split("leftImg8bit/test/night", "gtCoarse_daytime_trainvaltest/test/night"),
        },
        published=published("_gtCoarse_labelIds.png"),
        submission=IDS,
    ),
}
