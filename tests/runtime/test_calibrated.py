"""Calibrated scores of pipelines and packages: exact at the image's size, and the mask stays as it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest

import segship
from segship.core.artifacts import Session
from segship.core.spec import ModelSpec, SizeRule, Slide
from segship.deploy.temperature import Pixels, calibrate
from segship.runtime.pipeline import Pipeline
from segship.vision.palette import generate
from support.trained import write_trained

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

UNRECORDED = "calibrated scores are the softmax of the network's divided logits, in a line of NumPy"

IMAGE = np.random.default_rng(0).integers(0, 256, (18, 22, 3), np.uint8)

_PROUD = 2.5  # the temperature at which the network is honest


class Network(Session):
    """Logits at every pixel, or every second one: what one, two or three of them look like is of no matter here."""

    def __init__(self, channels: int, step: int, *, inside: bool) -> None:
        self._channels, self._step, self._inside = channels, step, inside

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
        small = feeds["image"][:, :, :: self._step, :: self._step] / 64 - 2
        logits = np.concatenate([small, -small], axis=1)[:, : self._channels]
        if not self._inside:
            return {"logits": logits.astype(np.float32)}
        powers = np.exp(logits)
        shares = powers / (powers.sum(1, keepdims=True) if self._channels > 1 else 1 + powers)
        return {"logits": shares.astype(np.float32)}


def pipeline(temperatures: tuple[float, ...], **said: Any) -> Pipeline:
    sigmoid = said.get("output") == "sigmoid"
    classes = 2 if sigmoid else 4
    spec = ModelSpec(
        source="mine", architecture="Net", classes=tuple("abcd"[:classes]), palette=generate(classes), **said
    )
    slide = said.get("slide")
    step = 2 if slide is None or slide.blend == "mean" else 1  # Gaussian windows have a score for every pixel
    network = Network(1 if sigmoid else classes, step, inside=said.get("returns") == "probabilities")
    return Pipeline(network, spec, SizeRule(), temperatures=temperatures)


def divided(pipe: Pipeline, temperatures: tuple[float, ...], *, sigmoid: bool, inside: bool) -> NDArray[Any]:
    prepared = pipe.prepare(IMAGE, "rgb")
    values = pipe.logits(pipe.infer(prepared), prepared).astype(np.float64)
    if inside:
        values = np.log(values / (1 - values)) if sigmoid else np.log(values)
    values /= np.reshape(temperatures, (-1, 1, 1))
    powers = np.exp(values)
    return powers / (1 + powers) if sigmoid else powers / powers.sum(0)


@pytest.mark.parametrize(
    "slide",
    [None, Slide(crop=(12, 12), stride=(8, 8)), Slide(crop=(12, 12), stride=(8, 8), blend="gaussian")],
    ids=["whole", "slide", "gaussian"],
)
@pytest.mark.parametrize("returns", ["logits", "probabilities"])
@pytest.mark.parametrize("temperatures", [(2.0,), (0.5, 1.0, 2.0, 3.0), "sigmoid"], ids=["one", "class", "sigmoid"])
def test_scores_are_divided_at_the_images_size_and_the_mask_is_not(
    slide: Slide | None, returns: str, temperatures: Any
) -> None:
    sigmoid = temperatures == "sigmoid"
    numbers = (2.5,) if sigmoid else temperatures
    said = {"slide": slide, "returns": returns} | ({"output": "sigmoid", "threshold": 0.4} if sigmoid else {})
    calibrated, plain = pipeline(numbers, **said), pipeline((), **said)
    mask, scores = calibrated.labels_and_scores(IMAGE, "rgb")
    expected = divided(plain, numbers, sigmoid=sigmoid, inside=returns == "probabilities")
    np.testing.assert_allclose(scores, expected, atol=2e-6)
    np.testing.assert_array_equal(mask, plain.labels(IMAGE, "rgb"))
    np.testing.assert_array_equal(calibrated.labels(IMAGE, "rgb"), mask)
    np.testing.assert_array_equal(calibrated.scores(IMAGE, "rgb", raw=True), plain.scores(IMAGE, "rgb"))


def test_temperatures_of_classes_would_change_the_mask_if_they_decided_it() -> None:
    calibrated = pipeline((0.5, 1.0, 2.0, 3.0))
    mask, scores = calibrated.labels_and_scores(IMAGE, "rgb")
    assert (scores.argmax(0) != mask).any()


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, tuple[Path, Path]]:
    """Images, label maps drawn from the network's probabilities at a temperature, and the network."""
    folder = tmp_path_factory.mktemp("labelled")
    trained = write_trained(folder)
    random = np.random.default_rng(3)
    with segship.Segmentor(segship.export(*trained, folder / "first")) as segmentor:
        for name in ("images", "labels"):
            (folder / name).mkdir()
        for number in range(3):
            image = cv2.resize(random.integers(0, 256, (9, 13, 3), np.uint8), (96, 72))
            cv2.imwrite(str(folder / "images" / f"{number}.png"), image)
            honest = segmentor.scores(folder / "images" / f"{number}.png").astype(np.float64) ** (1 / _PROUD)
            below = (honest / honest.sum(0)).cumsum(0) > random.random(honest.shape[1:])
            labels = below.argmax(0).astype(np.uint8)
            labels[:5] = 255
            cv2.imwrite(str(folder / "labels" / f"{number}.png"), labels)
    return folder / "images", folder / "labels", trained


@pytest.fixture(scope="module")
def calibrated(labelled: Any, tmp_path_factory: pytest.TempPathFactory) -> segship.Package:
    images, labels, trained = labelled
    temperature = segship.Temperature(calibration=images, labels=labels)
    return segship.export(*trained, tmp_path_factory.mktemp("calibrated") / "package", temperature=temperature)


def test_an_export_with_labels_makes_scores_honest(calibrated: segship.Package, labelled: Any) -> None:
    record = calibrated.manifest.calibration
    assert record is not None
    assert (record.images, record.pixels, record.network) == (3, 3 * 67 * 96, None)
    fit = record.engine
    assert fit.precision == "fp32"
    assert fit.temperatures == pytest.approx((_PROUD,), rel=0.1)
    assert fit.after.nll < fit.before.nll
    assert fit.after.ece < fit.before.ece
    assert sum(one.pixels for one in fit.after.bins) == record.pixels
    with segship.Segmentor(calibrated) as segmentor:
        path = labelled[0] / "0.png"
        mask, scores = segmentor.mask_and_scores(path)
        np.testing.assert_array_equal(mask, segmentor(path))
        np.testing.assert_array_equal(scores.argmax(0), mask)
        rejected = segmentor(path, reject=0.6)
        np.testing.assert_array_equal(rejected, np.where(scores.max(0) < 0.6, 255, mask))
        ranked = np.sort(scores, axis=0)
        np.testing.assert_allclose(segmentor.confidence(path), ranked[-1] - ranked[-2], atol=1e-6)


def test_predict_writes_confidence_and_rejects_and_resumes_as_asked(
    calibrated: segship.Package, labelled: Any, tmp_path: Path
) -> None:
    images = labelled[0]
    segship.predict(calibrated, images, tmp_path, confidence="margin", reject=0.55, scores=True, overlay=False)
    with segship.Segmentor(calibrated) as segmentor:
        mask, scores = segmentor.mask_and_scores(images / "1.png")
        sure = segmentor.confidence(images / "1.png")
    written = cv2.imread(str(tmp_path / "1_confidence.png"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(written, np.rint(sure * 255))
    import PIL.Image

    labels = np.array(PIL.Image.open(tmp_path / "1.png"))
    np.testing.assert_array_equal(labels, np.where(scores.max(0) < np.float32(0.55), 255, mask))
    entries = [json.loads(line) for line in (tmp_path / "index.jsonl").read_text().splitlines()]
    entry = next(entry for entry in entries if entry["name"] == "1")
    assert entry["classes"]["rejected"] == (labels == 255).sum()
    assert entry["reject"] == 0.55
    segship.predict(calibrated, images, tmp_path, scores=True, raw_scores=True, overlay=False, resume=True)
    assert 255 not in np.array(PIL.Image.open(tmp_path / "1.png"))  # other options: made again
    with segship.Segmentor(calibrated) as segmentor, np.load(tmp_path / "1_scores.npz") as found:
        raw = segmentor.scores(images / "1.png", raw=True)
        np.testing.assert_array_equal(found["scores"], raw.astype(np.float16))


def test_a_reduced_precision_has_its_own_temperature_and_fp32_stands_beside_it() -> None:
    """Labels are drawn from the network's logits at its temperature; the engine's are half as large."""
    random = np.random.default_rng(5)
    logits = random.normal(0, 3, (20_000, 4)).astype(np.float32)
    honest = np.exp(logits / _PROUD)
    truth = ((honest / honest.sum(1, keepdims=True)).cumsum(1) > random.random((20_000, 1))).argmax(1)
    network, engine = (Pixels(2, logits / divisor, logits.argmax(1), truth) for divisor in (1, np.float32(2)))
    spec = ModelSpec(source="mine", architecture="Net", classes=("a", "b", "c", "d"), palette=generate(4))
    options = segship.Temperature(calibration="images", labels="labels")
    found = calibrate(options, spec, "int8", engine, network)
    assert found.network is not None
    assert (found.engine.precision, found.network.precision) == ("int8", "fp32")
    assert found.network.temperatures == pytest.approx((_PROUD,), rel=0.05)
    assert found.engine.temperatures[0] == pytest.approx(found.network.temperatures[0] / 2, rel=1e-3)
    assert found.temperatures == found.engine.temperatures
    assert found.engine.after.ece == pytest.approx(found.network.after.ece, abs=1e-3)
    assert found.engine.before.ece != pytest.approx(found.network.before.ece, abs=1e-2)


def test_too_few_pixels_and_wrong_labels_are_one_line(labelled: Any, tmp_path: Path) -> None:
    images, _, trained = labelled
    wrong = tmp_path / "wrong"
    wrong.mkdir()
    cv2.imwrite(str(wrong / "0.png"), np.full((72, 96), 9, np.uint8))
    with pytest.raises(segship.InputError, match="label 9 occurs, the network has the classes 0 to 3"):
        segship.export(*trained, tmp_path / "out", temperature=segship.Temperature(calibration=images, labels=wrong))
    cv2.imwrite(str(wrong / "0.png"), np.full((72, 96), 255, np.uint8))
    with pytest.raises(segship.InputError, match="0 pixels with a label are too few to calibrate"):
        segship.export(*trained, tmp_path / "out", temperature=segship.Temperature(calibration=images, labels=wrong))
    assert not (tmp_path / "out").exists()
