"""Folders as each data set has them on the disk, and which label map belongs to which image."""

from __future__ import annotations

from pathlib import Path

import pytest

from segship.core.errors import InputError, UnsupportedError
from segship.datasets import choose_layout, find_layout, layouts
from segship.datasets.samples import find_folder, find_samples, pair_up

# Image and label map of one sample, as MMSegmentation's documentation of its data sets shows them.
TREES = {
    "cityscapes": (
        "leftImg8bit/val/lindau/lindau_000000_000019_leftImg8bit.png",
        "gtFine/val/lindau/lindau_000000_000019_gtFine_labelTrainIds.png",
    ),
    "ade20k": ("images/validation/ADE_val_00000001.jpg", "annotations/validation/ADE_val_00000001.png"),
    "camvid": ("img_dir/val/0016E5_07959.png", "ann_dir/val/0016E5_07959.png"),
    "voc": ("JPEGImages/2007_000033.jpg", "SegmentationClass/2007_000033.png"),
    "pascal_context": ("JPEGImages/2008_000002.jpg", "SegmentationClassContext/2008_000002.png"),
    "coco_stuff164k": ("images/val2017/000000000139.jpg", "annotations/val2017/000000000139_labelTrainIds.png"),
    "loveda": ("img_dir/val/2522.png", "ann_dir/val/2522.png"),
    "potsdam": ("img_dir/val/2_13_0_0_512_512.png", "ann_dir/val/2_13_0_0_512_512.png"),
    "vaihingen": ("img_dir/val/area2_0_0_512_512.png", "ann_dir/val/area2_0_0_512_512.png"),
    "potsdam_raw": ("2_Ortho_RGB/top_potsdam_2_13_RGB.tif", "5_Labels_all/top_potsdam_2_13_label.tif"),
    "vaihingen_raw": ("top/top_mosaic_09cm_area2.tif", "gts_for_participants/top_mosaic_09cm_area2.tif"),
    "loveda_raw": ("Val/Rural/images_png/2522.png", "Val/Rural/masks_png/2522.png"),
    "isaid": ("img_dir/val/P0003_0_896_0_896.png", "ann_dir/val/P0003_0_896_0_896_instance_color_RGB.png"),
    "drive": ("images/validation/01_test.png", "annotations/validation/01_test_manual1.png"),
    "stare": ("images/validation/im0162.png", "annotations/validation/im0162.ah.png"),
    "chase_db1": ("images/validation/Image_11L.png", "annotations/validation/Image_11L_1stHO.png"),
    "hrf": ("images/validation/06_dr.png", "annotations/validation/06_dr.png"),
    "dark_zurich": (
        "rgb_anon/val/night/GOPR0356/GOPR0356_frame_000321_rgb_anon.png",
        "gt/val/night/GOPR0356/GOPR0356_frame_000321_gt_labelTrainIds.png",
    ),
    "mapillary_v1": ("validation/images/a_B-1.jpg", "validation/v1.2/labels/a_B-1.png"),
    "mapillary_v2": ("validation/images/a_B-1.jpg", "validation/v2.0/labels/a_B-1.png"),
    "bdd100k": ("images/10k/val/7d06fefd.jpg", "labels/sem_seg/masks/val/7d06fefd.png"),
}


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


@pytest.mark.parametrize("name", sorted(TREES))
def test_image_and_label_map_of_each_data_set_find_each_other(name: str, tmp_path: Path) -> None:
    image, labels = TREES[name]
    touch(tmp_path, image, labels, str(Path(image).with_name("notes.txt")))
    layout = find_layout(name)
    names = layout.splits["val"].names
    if names is not None:
        touch(tmp_path, names)
        (tmp_path / names).write_text(f"{Path(image).stem}\n\n")
    (sample,) = find_samples(layout, tmp_path)
    assert (sample.image, sample.labels, sample.table) == (tmp_path / image, tmp_path / labels, None)


def test_night_driving_has_a_test_part_alone(tmp_path: Path) -> None:
    image = "leftImg8bit/test/night/0_leftImg8bit.png"
    labels = "gtCoarse_daytime_trainvaltest/test/night/0_gtCoarse_labelTrainIds.png"
    touch(tmp_path, image, labels)
    assert find_samples(find_layout("night_driving"), tmp_path, "test")[0].labels == tmp_path / labels
    with pytest.raises(InputError, match=r"Night Driving has no part 'val'.*Known are test"):
        find_samples(find_layout("night_driving"), tmp_path)


def test_published_label_maps_serve_where_prepared_ones_are_missing(tmp_path: Path) -> None:
    touch(tmp_path, "leftImg8bit/val/a/a_leftImg8bit.png", "gtFine/val/a/a_gtFine_labelIds.png")
    (sample,) = find_samples(find_layout("cityscapes"), tmp_path)
    assert sample.labels == tmp_path / "gtFine/val/a/a_gtFine_labelIds.png"
    assert sample.table is not None
    # Cityscapes numbers its road 7, its car 26 and its bicycle 33.
    assert (sample.table[7], sample.table[26], sample.table[33]) == (0, 13, 18)
    assert 0 not in sample.table


def test_numbers_of_coco_stuff_skip_the_ones_that_never_occur() -> None:
    table = find_layout("coco_stuff164k").published[0].table
    assert (table[0], table[10], table[12], table[181]) == (0, 10, 11, 170)
    assert len(table) == 171
    assert not {11, 25, 28, 29, 44, 65, 67, 68, 70, 82, 90} & set(table)


def test_a_sample_without_label_map_is_listed_in_its_place(tmp_path: Path) -> None:
    touch(tmp_path, *(f"img_dir/val/{name}.png" for name in "cab"), "ann_dir/val/a.png", "ann_dir/val/c.png")
    samples = find_samples(find_layout("camvid"), tmp_path)
    assert [sample.name for sample in samples] == ["a", "b", "c"]
    assert [sample.labels is None for sample in samples] == [False, True, False]
    assert len(find_samples(find_layout("camvid"), tmp_path, limit=2)) == 2


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    touch(tmp_path, "img_dir/test/a.jpg")
    with pytest.raises(InputError, match=r"holds no img_dir/val, where the val images of CamVid lie; --split test is"):
        find_samples(find_layout("camvid"), tmp_path)
    with pytest.raises(InputError, match=r"holds no image whose name ends with .png; found files with .jpg"):
        find_samples(find_layout("camvid"), tmp_path, "test")
    with pytest.raises(InputError, match="is not a folder"):
        find_samples(find_layout("camvid"), tmp_path / "nothing")
    touch(tmp_path, "JPEGImages/a.jpg")
    with pytest.raises(InputError, match=r"cannot read .*val.txt"):
        find_samples(find_layout("voc"), tmp_path)


def test_a_family_is_told_apart_by_its_classes_and_folders(tmp_path: Path) -> None:
    known = layouts()
    assert choose_layout("mapillary", 124, tmp_path, "val") is known["mapillary_v2"]
    assert choose_layout("Pascal-Context", 59, tmp_path, "val") is known["pascal_context"]
    assert choose_layout("coco-stuff", 171, tmp_path, "val") is known["coco_stuff164k"]
    touch(tmp_path, "images/test2014/a.jpg")
    assert choose_layout("coco-stuff", 171, tmp_path, "test") is known["coco_stuff10k"]
    with pytest.raises(UnsupportedError, match="Did you mean 'cityscapes'"):
        choose_layout("city-scapes", 19, tmp_path, "val")


def test_folders_with_usual_names_need_no_layout(tmp_path: Path) -> None:
    touch(tmp_path, "images/val/x/1.jpg", "images/train/2.jpg", "masks/val/x/1.png", "masks/train/2.png")
    assert [sample.name for sample in find_folder(tmp_path, "val")] == ["x/1"]
    assert [sample.name for sample in find_folder(tmp_path)] == ["train/2", "val/x/1"]
    with pytest.raises(InputError, match="has no part 'test'"):
        find_folder(tmp_path, "test")
    with pytest.raises(InputError, match="no folders of images and label maps with usual names"):
        find_folder(tmp_path / "images")


def test_file_names_may_carry_what_data_sets_append(tmp_path: Path) -> None:
    touch(tmp_path, "i/a_leftImg8bit.png", "l/a_gtFine_labelTrainIds.png", "i/b_img.jpg", "l/b_gt.png", "i/c.jpg")
    found = {sample.name: sample.labels for sample in pair_up(tmp_path / "i", tmp_path / "l")}
    assert found["a_leftImg8bit"] == tmp_path / "l/a_gtFine_labelTrainIds.png"
    assert found["b_img"] == tmp_path / "l/b_gt.png"
    assert found["c"] is None


def test_parts_of_published_tiles_are_those_of_the_converters(tmp_path: Path) -> None:
    for area in ("2_10", "2_13", "7_13"):
        touch(tmp_path, f"2_Ortho_RGB/top_potsdam_{area}_RGB.tif", f"2_Ortho_RGB/top_potsdam_{area}_RGB.tfw")
        touch(tmp_path, f"5_Labels_all_noBoundary/top_potsdam_{area}_label_noBoundary.tif")
    layout = choose_layout("potsdam", 6, tmp_path, "val")
    found = {split: [sample.name for sample in find_samples(layout, tmp_path, split)] for split in layout.splits}
    assert found == {"train": ["top_potsdam_2_10"], "val": ["top_potsdam_2_13", "top_potsdam_7_13"]}
    labels = [sample.labels for sample in find_samples(layout, tmp_path, "val")]
    assert [path and path.parent.name for path in labels] == ["5_Labels_all_noBoundary"] * 2
    for name, counts in (("potsdam_raw", (24, 14)), ("vaihingen_raw", (16, 17))):
        assert tuple(len(split.ranges) for split in find_layout(name).splits.values()) == counts


def test_small_real_data_sets_are_paired(shared: Path) -> None:
    other = shared / "data" / "other"
    pseudo = find_folder(other / "pseudo_dataset", "train")
    assert [sample.name for sample in pseudo] == ["00000_img", "00001_img", "00002_img", "00003_img"]
    for name, count in (("loveda", 3), ("potsdam", 1), ("vaihingen", 1)):
        samples = find_folder(other / f"pseudo_{name}_dataset")
        assert len(samples) == count
        assert all(sample.labels is not None for sample in samples)
    assert len(find_samples(find_layout("camvid"), shared / "data" / "camvid", "test")) == 233
