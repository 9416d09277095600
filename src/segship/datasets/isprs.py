"""ISPRS Potsdam and Vaihingen: land cover of two towns in aerial images.

https://www.isprs.org/education/benchmarks/UrbanSemLab/

As published, both are whole tiles beside label maps of colours; their parts are those of MMSegmentation's converters
(tools/dataset_converters/potsdam.py and vaihingen.py), which cut them.
"""

from __future__ import annotations

from segship.datasets.layout import LabelFile, Layout, Split, split_table

__all__ = ["LAYOUTS"]

_CLASSES, _PALETTE = split_table("""
ffffff impervious_surface
0000ff building
00ffff low_vegetation
00ff00 tree
ffff00 car
ff0000 clutter
""")

_CUT = {
    "train": Split("img_dir/train", "ann_dir/train"),
    "val": Split("img_dir/val", "ann_dir/val"),
}

_POTSDAM = ("2_Ortho_RGB", "5_Labels_all", "5_Labels_for_participants", "5_Labels_all_noBoundary")
_POTSDAM_TRAIN = """
2_10 2_11 2_12 3_10 3_11 3_12 4_10 4_11 4_12 5_10 5_11 5_12 6_10 6_11 6_12 6_7 6_8 6_9 7_10 7_11 7_12 7_7 7_8 7_9
"""
_POTSDAM_VAL = "5_15 6_15 6_13 3_13 4_14 6_14 5_14 2_13 4_15 2_14 5_13 4_13 3_14 7_13"

_RELEASE = "ISPRS_semantic_labeling_Vaihingen"
_VAIHINGEN = (
    "top",
    f"{_RELEASE}_ground_truth_COMPLETE",
    "gts_for_participants",
    f"{_RELEASE}_ground_truth_eroded_COMPLETE",
)
_VAIHINGEN_TRAIN = "1 11 13 15 17 21 23 26 28 3 30 32 34 37 5 7"
_VAIHINGEN_VAL = "6 24 35 16 14 22 10 4 2 20 8 31 33 27 38 12 29"


def _part(folders: tuple[str, ...], before: str, areas: str) -> Split:
    images, labels, *others = folders
    names = sorted(f"{before}{area}" for area in areas.split())
    return Split(images, labels, other_labels=tuple(others), ranges=tuple((name, name) for name in names))


LAYOUTS = {
    "potsdam": Layout(
        title="ISPRS Potsdam",
        classes=_CLASSES,
        palette=_PALETTE,
        mmseg_types=("PotsdamDataset",),
        image_suffix=".png",
        splits=_CUT,
        reduce_zero_label=True,
    ),
    "potsdam_raw": Layout(
        title="ISPRS Potsdam as it was published",
        classes=_CLASSES,
        palette=_PALETTE,
        image_suffix="_RGB.tif",
        label_suffix="_label.tif",
        splits={
            "train": _part(_POTSDAM, "top_potsdam_", _POTSDAM_TRAIN),
            "val": _part(_POTSDAM, "top_potsdam_", _POTSDAM_VAL),
        },
        published=(LabelFile("_label_noBoundary.tif"),),
    ),
    "vaihingen": Layout(
        title="ISPRS Vaihingen",
        classes=_CLASSES,
        palette=_PALETTE,
        mmseg_types=("ISPRSDataset",),
        image_suffix=".png",
        splits=_CUT,
        reduce_zero_label=True,
    ),
    "vaihingen_raw": Layout(
        title="ISPRS Vaihingen as it was published",
        classes=_CLASSES,
        palette=_PALETTE,
        image_suffix=".tif",
        label_suffix=".tif",
        splits={
            "train": _part(_VAIHINGEN, "top_mosaic_09cm_area", _VAIHINGEN_TRAIN),
            "val": _part(_VAIHINGEN, "top_mosaic_09cm_area", _VAIHINGEN_VAL),
        },
        published=(LabelFile("_noBoundary.tif"),),
    ),
}
