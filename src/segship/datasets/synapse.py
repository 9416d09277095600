"""Synapse: abdominal organs in computed tomography.

https://www.synapse.org/Synapse:syn3193805/wiki/
"""

from __future__ import annotations

from segship.datasets.layout import Layout, Split, split_table

__all__ = ["LAYOUTS"]

_CLASSES, _PALETTE = split_table("""
000000 background
0000ff aorta
00ff00 gallbladder
ff0000 left_kidney
00ffff right_kidney
ff00ff liver
ffff00 pancreas
3cffff spleen
f0f0f0 stomach
""")

LAYOUTS = {
    "synapse": Layout(
        title="Synapse",
        classes=_CLASSES,
        palette=_PALETTE,
        mmseg_types=("SynapseDataset",),
        splits={
            "train": Split("img_dir/train", "ann_dir/train"),
            "val": Split("img_dir/val", "ann_dir/val"),
        },
    ),
}
