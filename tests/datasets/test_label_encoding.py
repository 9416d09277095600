"""What the numbers and colours of label maps mean."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from segship.core.errors import InputError
from segship.datasets import choose_layout, find_layout
from segship.datasets.label_encoding import LabelEncoding, encoding_for, match_classes
from segship.datasets.samples import Sample, find_samples


def write(path: Path, values: object) -> Sample:
    path.parent.mkdir(parents=True, exist_ok=True)
    array = np.asarray(values)
    cv2.imwrite(str(path), array if array.ndim == 2 else array[:, :, ::-1])
    return Sample("a", path, path)


def test_labels_that_are_classes_stay_as_they_are() -> None:
    truth = LabelEncoding(3).decode(np.array([[0, 1, 2, 255]], np.uint8))
    assert truth.labels.tolist() == [[0, 1, 2, 255]]
    assert truth.labels.dtype == np.uint8
    assert not truth.unknown_values


def test_label_zero_may_mean_ignore_while_the_others_move_down() -> None:
    truth = LabelEncoding(150, reduce_zero_label=True).decode(np.array([[0, 1, 150, 255, 151]], np.uint8))
    assert truth.labels.tolist() == [[255, 0, 149, 255, 255]]
    assert truth.unknown_values == {"label 151": 1}


def test_labels_out_of_range_are_counted_by_value_and_ignored() -> None:
    truth = LabelEncoding(2).decode(np.array([[0, 7, 7, 200]], np.uint8))
    assert truth.labels.tolist() == [[0, 255, 255, 255]]
    assert truth.unknown_values == {"label 7": 2, "label 200": 1}


def test_one_more_label_may_not_count() -> None:
    stored = np.array([[0, 1, 2, 254, 255]], np.uint8)
    assert LabelEncoding(3, ignore=1).decode(stored).labels.tolist() == [[0, 255, 2, 255, 255]]
    assert LabelEncoding(3, ignore=1).decode(stored).unknown_values == {"label 254": 1}
    assert not LabelEncoding(3, ignore=254).decode(stored).unknown_values
    # After the numbers have become the network's, as the framework compares them.
    assert LabelEncoding(3, relabel=(1, 0, 255), ignore=1).decode(stored).labels.tolist() == [[255, 0, 255, 255, 255]]
    assert LabelEncoding(3, reduce_zero_label=True, ignore=0).decode(stored[:, :3]).labels.tolist() == [[255, 255, 1]]


def test_sixteen_bits_are_read_as_eight() -> None:
    truth = LabelEncoding(300).decode(np.array([[0, 254, 299, 300, 65535]], np.uint16))
    assert truth.labels.tolist() == [[0, 254, 299, 255, 255]]
    assert truth.unknown_values == {"label 300": 1, "label 65535": 1}


def test_labels_that_fit_into_bytes_become_bytes() -> None:
    truth = LabelEncoding(3).decode(np.array([[0, 1, 2, 255]], np.uint16))
    assert truth.labels.dtype == np.uint8
    assert truth.labels.tolist() == [[0, 1, 2, 255]]


def test_ids_of_cityscapes_become_its_classes() -> None:
    encoding = encoding_for(find_layout("cityscapes"), find_layout("cityscapes").classes)
    table = find_layout("cityscapes").published[0].table
    # ego vehicle, road, parking, sidewalk, license plate stored as 255, bicycle
    truth = encoding.decode(np.array([[1, 7, 9, 8, 255, 33]], np.uint8), table)
    assert truth.labels.tolist() == [[255, 0, 255, 1, 255, 18]]
    assert not truth.unknown_values


def test_a_network_of_fewer_classes_ignores_the_others() -> None:
    encoding = encoding_for(find_layout("camvid"), ("tree", "sky"))
    truth = encoding.decode(np.array([[0, 1, 5, 255]], np.uint8))  # sky, building, tree
    assert truth.labels.tolist() == [[1, 255, 0, 255]]
    assert not truth.unknown_values


def test_pascal_context_counts_the_same_for_59_classes_in_both_ways() -> None:
    fewer = find_layout("pascal_context_59")
    stored = np.array([[0, 1, 59, 255]], np.uint8)
    by_layout = encoding_for(fewer, fewer.classes).decode(stored)
    by_names = encoding_for(find_layout("pascal_context"), fewer.classes).decode(stored)
    assert by_layout.labels.tolist() == by_names.labels.tolist() == [[255, 0, 58, 255]]


def test_classes_are_matched_by_name_however_it_is_written() -> None:
    assert match_classes(("Traffic Light", "road"), ("road", "traffic_light")) == (1, 0)
    assert match_classes(("a", "b"), ("a", "b")) == ()
    assert match_classes(("car", "Auto"), ("x", "y")) == ()  # as many, all of other names: taken as the same
    with pytest.raises(InputError, match="3 classes, the data 2, and 'bus' is not among them"):
        match_classes(("car", "road"), ("car", "road", "bus"))


def test_colours_become_classes_and_black_is_ignored(tmp_path: Path) -> None:
    layout = find_layout("potsdam")
    white, blue, black, odd = (255, 255, 255), (0, 0, 255), (0, 0, 0), (1, 2, 3)
    sample = write(tmp_path / "a.png", np.array([[white, blue, black, odd]], np.uint8))
    truth = encoding_for(layout, layout.classes).read(sample)
    assert truth.labels.tolist() == [[0, 1, 255, 255]]
    assert truth.unknown_values == {"colour #010203": 1}


def test_black_counts_where_it_is_the_colour_of_a_class(tmp_path: Path) -> None:
    layout = find_layout("isaid")
    sample = write(tmp_path / "a.png", np.array([[(0, 0, 0), (0, 0, 63)]], np.uint8))  # background, ship
    assert encoding_for(layout, layout.classes).read(sample).labels.tolist() == [[0, 1]]


def test_colours_that_two_classes_share_are_refused(tmp_path: Path) -> None:
    sample = write(tmp_path / "a.png", np.zeros((2, 2, 3), np.uint8))
    with pytest.raises(InputError, match="two classes of the data set share one"):
        LabelEncoding(2, palette=((1, 1, 1), (1, 1, 1))).read(sample)
    with pytest.raises(InputError, match="stores colours"):
        LabelEncoding(2).read(sample)
    with pytest.raises(InputError, match="has no label map"):
        LabelEncoding(2).read(Sample("a", tmp_path / "a.png", None))


def test_camvid_as_published_becomes_eleven_classes(tmp_path: Path) -> None:
    for name in ("0001TP_008520", "0001TP_008550", "0016E5_07959", "Seq05VD_f00000"):
        write(tmp_path / "701_StillsRaw_full" / f"{name}.png", np.zeros((1, 5, 3), np.uint8))
        # Wall, Sidewalk, Truck_Bus, Void, and a colour that the release has not
        row = ((64, 192, 0), (0, 0, 192), (192, 128, 192), (0, 0, 0), (9, 9, 9))
        write(tmp_path / "LabeledApproved_full" / f"{name}_L.png", np.array([row], np.uint8))
    layout = choose_layout("camvid", 11, tmp_path, "test")
    assert layout is find_layout("camvid-raw")
    samples = find_samples(layout, tmp_path, "test")
    assert [sample.name for sample in samples] == ["0001TP_008550", "Seq05VD_f00000"]
    assert [len(find_samples(layout, tmp_path, part)) for part in ("train", "val")] == [1, 1]
    truth = encoding_for(layout, layout.classes).read(samples[0])
    assert [layout.classes[label] for label in truth.labels[0, :3]] == ["building", "pavement", "car"]
    assert truth.labels[0, 3:].tolist() == [255, 255]
    assert truth.unknown_values == {"colour #090909": 1}


def test_camvid_prepared_with_published_label_maps_is_read(tmp_path: Path) -> None:
    write(tmp_path / "img_dir/test/a.png", np.zeros((1, 1, 3), np.uint8))
    write(tmp_path / "ann_dir/test/a_L.png", np.array([[(192, 192, 0)]], np.uint8))  # VegetationMisc
    layout = choose_layout("camvid", 11, tmp_path, "test")
    (sample,) = find_samples(layout, tmp_path, "test")
    labels = encoding_for(layout, ("car", "tree")).read(sample).labels
    assert labels.tolist() == [[1]]


def test_parts_of_camvid_are_those_of_segnet(shared: Path) -> None:
    raw = find_layout("camvid-raw")
    for part in ("train", "val", "test"):
        there = {path.stem for path in (shared / "data/camvid/ann_dir").glob("*/*.png")}
        ours = {stem for stem in there if any(first <= stem <= last for first, last in raw.splits[part].ranges)}
        assert ours == {path.stem for path in (shared / "data/camvid/ann_dir" / part).iterdir()}


def test_real_label_maps_hold_classes_only(shared: Path) -> None:
    layout = find_layout("camvid")
    encoding = encoding_for(layout, layout.classes)
    for sample in find_samples(layout, shared / "data" / "camvid", "test", limit=5):
        truth = encoding.read(sample)
        assert not truth.unknown_values
        assert set(np.unique(truth.labels)) <= {*range(11), 255}
