"""Test-time augmentation and ensembles: which views, and what their mean is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import segship
from segship.cli import main
from segship.core.augmentation import Augmentation, ResizeByFactor, View
from segship.core.errors import InputError, SizeError, UnsupportedError
from segship.core.geometry_steps import Letterbox, Pad, Resize
from segship.core.spec import Padding
from segship.evaluation.network import Eager
from segship.runtime.augmentation import find_augmentation, is_augmentation
from segship.runtime.average import require_alike
from segship.vision.decode import read_image
from support.trained import write_trained

AUGMENTED = """
tta_model = dict(type='SegTTAModel')
tta_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='TestTimeAug', transforms=[
        [dict(type='Resize', scale=(int(160 * r), int(96 * r)), keep_ratio=True) for r in (0.5, 1.0)],
        [dict(type='RandomFlip', prob=p, direction='horizontal') for p in (0., 1.)],
        [dict(type='LoadAnnotations')],
        [dict(type='PackSegInputs')]])]
"""


@pytest.fixture(scope="module")
def augmented(tmp_path_factory: pytest.TempPathFactory) -> segship.Package:
    folder = tmp_path_factory.mktemp("augmented")
    config, checkpoint = write_trained(folder)
    config.write_text(config.read_text() + AUGMENTED)
    return segship.export(config, checkpoint, folder / "package")


def pixels(path: Path) -> Any:
    return np.ascontiguousarray(read_image(path)[:, :, ::-1])


def close(first: Any, second: Any) -> bool:
    return bool(np.abs(first - second).max() < 1e-5)


def test_the_mean_of_an_image_and_its_mirror_image_is_taken(exported: segship.Package, street: Path) -> None:
    image = pixels(street)[:64, :96]  # its resize is symmetric
    with segship.Segmentor(exported) as plain, segship.Segmentor(exported, tta="flip") as flipped:
        expected = (plain.scores(image) + plain.scores(image[:, ::-1].copy())[:, :, ::-1]) / 2
        assert close(flipped.scores(image), expected)
        assert (flipped(image) == expected.argmax(axis=0)).mean() > 0.9999
        assert not close(plain.scores(image), expected)


def test_d4_sees_all_eight_sides_and_turns_them_back(exported: segship.Package, street: Path) -> None:
    image = pixels(street)[:60, :60]
    with segship.Segmentor(exported) as plain, segship.Segmentor(exported, tta="d4") as turned:
        views = []
        for turns in range(4):
            for mirrored in (False, True):
                seen = np.rot90(image, turns)
                seen = seen[:, ::-1] if mirrored else seen
                scores = plain.scores(np.ascontiguousarray(seen))
                scores = scores[:, :, ::-1] if mirrored else scores
                views.append(np.rot90(scores, -turns, axes=(1, 2)))
        assert close(turned.scores(image), np.mean(views, axis=0))
        # What is turned before is turned after: the mean does not know which side is up.
        assert close(turned.scores(np.ascontiguousarray(np.rot90(image))), np.rot90(turned.scores(image), axes=(1, 2)))


def test_a_package_knows_the_augmentation_of_its_config(augmented: segship.Package, street: Path) -> None:
    own = augmented.manifest.tta
    assert own is not None
    assert [(view.geometry is None, view.flip) for view in own.views] == [
        (False, None), (False, "horizontal"), (True, None), (True, "horizontal"),
    ]  # fmt: skip
    assert own.views[0].geometry == (Resize(width=80, height=48, keep_ratio=True),)
    with (
        segship.Segmentor(augmented, tta=True) as first,
        segship.Segmentor(augmented, tta="flip,scales=0.5,1") as second,
    ):
        assert close(first.scores(street), second.scores(street))
        assert first.identity != second.identity


def test_a_package_without_one_says_what_to_give(exported: segship.Package) -> None:
    with pytest.raises(InputError, match="tta_pipeline"):
        segship.Segmentor(exported, tta=True)


def test_an_engine_of_one_size_flips_and_names_the_size_it_takes(
    augmented: segship.Package, street: Path, tmp_path: Path
) -> None:
    config = Path(augmented.path).parent / "small.py"
    package = segship.export(
        segship.Source(config, config.with_suffix(".pth")), tmp_path / "static", target="onnxruntime_static-96x160"
    )
    with segship.Segmentor(package, tta="flip") as flipped, segship.Segmentor(package) as plain:
        assert not close(flipped.scores(street), plain.scores(street))
    with segship.Segmentor(package, tta=True) as scaled, pytest.raises(SizeError, match="exactly 96x160"):
        scaled(street)


def test_an_engine_that_prepares_images_itself_is_refused(exported: segship.Package, tmp_path: Path) -> None:
    config = Path(exported.path).parent / "small.py"
    source = segship.Source(config, config.with_suffix(".pth"))
    package = segship.export(source, tmp_path / "embedded", embed="pre")
    with pytest.raises(UnsupportedError, match="--embed"):
        segship.Segmentor(package, tta="flip")


def test_several_packages_decide_by_the_mean_of_their_scores(
    exported: segship.Package, augmented: segship.Package, street: Path
) -> None:
    with (
        segship.Segmentor(exported) as first,
        segship.Segmentor(exported, tta="flip") as second,
        segship.Segmentor([exported, augmented]) as twins,
        segship.Segmentor((exported, augmented), tta="flip") as both,
    ):
        assert close(twins.scores(street), first.scores(street))
        assert close(both.scores(street), second.scores(street))
        assert twins.identity != first.identity


def test_packages_of_other_classes_are_no_ensemble(exported: segship.Package) -> None:
    spec = exported.manifest.spec
    require_alike(spec, spec, "b")
    with pytest.raises(InputError, match="class 1 is 'wall' in the first package and 'house' in b"):
        require_alike(spec, spec.model_copy(update={"classes": ("road", "house", "tree", "sky")}), "b")
    fewer = spec.model_copy(update={"classes": spec.classes[:2], "palette": spec.palette[:2]})
    with pytest.raises(InputError, match="the first package has 4 classes, b has 2"):
        require_alike(spec, fewer, "b")
    with pytest.raises(InputError, match=r"softmax with threshold 0\.5, b by sigmoid"):
        require_alike(fewer, fewer.model_copy(update={"output": "sigmoid"}), "b")


@pytest.mark.parametrize(
    ("text", "views"),
    [
        ("flip", [(0, None), (0, "horizontal")]),
        ("vflip", [(0, None), (0, "vertical")]),
        ("flip,vflip", [(0, None), (0, "horizontal"), (0, "vertical")]),
        ("d4,flip", [(turns, flip) for turns in range(4) for flip in (None, "horizontal")]),
        ("scales=1", [(0, None)]),
    ],
)
def test_each_word_adds_its_views(text: str, views: list[Any], exported: segship.Package) -> None:
    found = find_augmentation(text, exported.manifest.spec, None)
    assert found is not None
    assert [(view.turns, view.flip) for view in found.views] == views


def test_scales_are_of_the_packages_own_sizes_and_else_of_the_images(exported: segship.Package) -> None:
    spec = exported.manifest.spec
    found = find_augmentation("scales=0.55,1,2,flip", spec, Augmentation(padding=Padding(multiple_of=8)))
    assert found is not None
    assert [view.geometry for view in found.views[::2]] == [
        (Resize(width=88, height=52, keep_ratio=True),), None, (Resize(width=320, height=192, keep_ratio=True),),
    ]  # fmt: skip
    assert found.padding == Padding(multiple_of=8)
    free = spec.model_copy(update={"geometry": (Pad(multiple_of=8),)})
    own = find_augmentation("flip,scales=0.5", free, None)
    assert own is not None
    assert own.views[1] == View(
        geometry=free.geometry, factor=ResizeByFactor(factor=0.5), flip="horizontal", flip_before=1
    )


@pytest.mark.parametrize(
    "text", ["", "flop", "0.5", "flip,0.5", "scales=", "scales=x", "scales=0", "scales=1e9", "scales=nan"]
)
def test_what_is_no_augmentation_is_one_line(text: str, exported: segship.Package) -> None:
    with pytest.raises(InputError, match="--tta"):
        find_augmentation(text, exported.manifest.spec, None)


def test_a_frame_has_no_scales(exported: segship.Package) -> None:
    framed = exported.manifest.spec.model_copy(update={"geometry": (Letterbox(width=64, height=64),)})
    assert find_augmentation("flip", framed, None) is not None
    with pytest.raises(segship.SegshipError, match="frame"):
        find_augmentation("scales=0.5", framed, None)


def test_the_next_argument_is_not_taken_for_views() -> None:
    assert all(map(is_augmentation, ["config", "flip", "flip,scales=1", "scales=1", "d4", "vflip"]))
    assert not any(map(is_augmentation, ["images", "--to", "package", "flips"]))


def test_views_that_are_misspelt_are_named(
    exported: segship.Package, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def told(*arguments: str) -> str:
        monkeypatch.setattr("sys.argv", ["segship", *arguments])
        with pytest.raises(SystemExit):
            main()
        return capsys.readouterr().err

    photos, to = tmp_path / "photos", str(tmp_path / "to")
    photos.mkdir()
    (photos / "a.png").write_bytes(b"")
    package = str(exported.path)
    named = ("--images", str(photos), "--labels", str(photos))
    assert "--tta flips: 'flips' is none of flip" in told("evaluate", package, "--tta", "flips", *named)
    assert "--tta flips: 'flips' is none of flip" in told("predict", package, str(photos), "--to", to, "--tta", "flips")
    for own in (("--tta", str(photos), "--to", to), (str(photos), "--tta", "--to", to)):
        assert "no test-time augmentation" in told("predict", package, *own)


@pytest.mark.parametrize("rounding", ["nearest", "down"])
def test_a_factor_is_rounded_as_its_version_does(rounding: Any) -> None:
    found = ResizeByFactor(factor=0.5, rounding=rounding).of(77, 131)
    assert (found.height, found.width) == ((39, 66) if rounding == "nearest" else (38, 65))
    with pytest.raises(InputError, match="1x3 pixels"):
        ResizeByFactor(factor=0.25).of(1, 3)


RECORDED = [
    ("cgnet_flip", "cgnet_flip"), pytest.param("cgnet_scales", "cgnet_scales", marks=pytest.mark.slow),
    pytest.param("cgnet_scales_0x", "cgnet_scales", marks=pytest.mark.slow),
    ("ddrnet_flip", "ddrnet_flip"),
]  # fmt: skip


@pytest.mark.parametrize(("config", "recorded"), RECORDED)
def test_masks_are_those_of_mmsegmentations_own_augmentation(shared: Path, config: str, recorded: str) -> None:
    weights = {"cgnet": "cgnet_camvid/cgnet_camvid_mmseg_keys.pth", "ddrnet": "ddrnet_camvid/iter_2400.pth"}
    source = segship.Source(
        shared / "reference" / "tta" / f"{config}.py", shared / "weights" / weights[config.split("_", maxsplit=1)[0]]
    )
    network = Eager(source, None, "config")
    with np.load(shared / "reference" / "tta" / f"{recorded}.npz") as labels:
        name = labels.files[5]
        image = read_image(shared / "data" / "camvid" / "img_dir" / "test" / name)
        assert (network(image, channel_order="bgr") == labels[name]).mean() >= 0.9999


def test_the_half_scale_of_a_network_of_eighths_is_refused(shared: Path) -> None:
    folder = shared / "weights" / "ddrnet_camvid"
    source = segship.Source(folder / "ddrnet_23-slim_camvid-360x480.py", folder / "iter_2400.pth")
    network = Eager(source, None, "scales=0.5,1.0")
    with pytest.raises(SizeError, match="180x240 pixels, this network takes height and width multiples of 8"):
        network(np.zeros((360, 480, 3), np.uint8), channel_order="rgb")
