"""Margins and sizes of processors of transformers, against the library's own pixels and masks."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch.nn.functional import interpolate

pytest.importorskip("transformers", reason="pip install segship[huggingface]")

import onnxruntime

from segship.capture.onnx import write_onnx
from segship.capture.options import CaptureOptions
from segship.core.errors import SegshipError
from segship.networks.session import EagerSession
from segship.runtime.pipeline import Pipeline
from segship.sources import load
from segship.sources.huggingface.processor import BACKENDS
from segship.vision.decode import read_image
from segship.vision.preprocess import prepare
from support.hugging import save
from support.references import REFERENCES

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.filterwarnings("ignore")  # the library's own, of many kinds
NOISE = 3e-5
EDGES = {"shortest_edge": 64, "longest_edge": 100}
FRAME = {"max_height": 70, "max_width": 101}
MARGINS: dict[str, dict[str, Any]] = {
    "detr": {"size": EDGES, "pad_size": {"height": 110, "width": 140}},
    "maskformer": {"size": FRAME, "pad_size": {"height": 160, "width": 128}},
    "mask2former": {"size": {"height": 64, "width": 96}, "pad_size": {"height": 96, "width": 128}},
    "dpt": {"size": {"height": 70, "width": 70}, "do_pad": True, "size_divisor": 16},
}
SIZES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("detr", {"size": 64, "max_size": 70}),
    ("detr", {"size": EDGES, "pad_and_return_pixel_mask": False, "pad_size": {"height": 110, "width": 140}}),
    ("maskformer", {"size": 64, "max_size": 70}),
    ("mask2former", {"size": 64, "max_size": 70, "size_divisibility": 32}),
    *((name, {"size": FRAME}) for name in ("detr", "segformer", "beit")),
    ("mask2former", {"size": FRAME, "size_divisor": 32}),
    ("segformer", {"size": {"height": 64, "width": 96}, "do_pad": True, "pad_size": {"height": 99, "width": 99}}),
)


def saved(name: str, to: Path, said: dict[str, Any]) -> tuple[Any, Any]:
    """A folder whose processor says only ``said``; the library's network and processor."""
    model, processor = save(name, to)
    kind = type(processor)
    said = {"image_processor_type": kind.__name__.removesuffix("Pil")} | said
    (to / "preprocessor_config.json").write_text(json.dumps(said))
    return model, kind.from_dict(said)


@pytest.fixture(scope="module")
def image() -> Any:
    return read_image(REFERENCES / "pipeline" / "street_300x401.png")


@pytest.mark.parametrize("name", MARGINS)
@pytest.mark.parametrize("tall", [False, True])
def test_masks_within_a_margin_are_the_librarys(name: str, tall: bool, tmp_path: Path, image: Any) -> None:
    model, processor = saved(name, tmp_path, MARGINS[name])
    image = image[:, :230] if tall else image
    inputs = processor(images=image[:, :, ::-1].copy(), return_tensors="pt")
    with torch.inference_mode():
        output = model(**inputs)
    theirs = processor.post_process_semantic_segmentation(
        output, target_sizes=[image.shape[:2]], return_segmentation_scores=True
    )[0]
    loaded, scores = load(tmp_path), theirs["segmentation_scores"]
    pixels = prepare(image, loaded.spec).tensor
    assert pixels.shape != tuple(inputs["pixel_values"].shape)
    ours = interpolate(loaded.network.logits(torch.from_numpy(pixels)), image.shape[:2], mode="bilinear")[0]
    assert (ours - scores).abs().max() / (scores.max() - scores.min()) < NOISE
    found = Pipeline(EagerSession(loaded.network), loaded.spec, loaded.network.sizes).labels(image, "bgr")
    assert (found == theirs["segmentation"].numpy()).mean() >= 0.9999


@pytest.mark.parametrize("name", MARGINS)
def test_a_graph_makes_the_margin_at_sizes_it_was_not_traced_at(name: str, tmp_path: Path) -> None:
    saved(name, tmp_path, MARGINS[name])
    network = load(tmp_path).network
    assert network.sizes.fixed is None
    graph = write_onnx(network, tmp_path / "graph.onnx", CaptureOptions(size=(64, 80)))
    session = onnxruntime.InferenceSession(graph.path, providers=["CPUExecutionProvider"])
    for height, width in ((70, 70), (64, 90), (91, 64)):
        x = torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(1))
        with torch.inference_mode():
            expected = network.logits(x)
        found = torch.from_numpy(session.run(None, {"image": x.numpy()})[0])
        assert (found - expected).abs().max() / expected.abs().max() < NOISE, x.shape


@pytest.mark.parametrize(("name", "said"), SIZES)
def test_pixels_are_those_of_the_processor(name: str, said: dict[str, Any], tmp_path: Path, image: Any) -> None:
    _, processor = saved(name, tmp_path, said)
    spec = load(tmp_path).spec
    for picture in (image, image[:, :120]):
        expected = processor(images=picture[:, :, ::-1].copy(), return_tensors="np")["pixel_values"]
        np.testing.assert_allclose(prepare(picture, spec).tensor, np.asarray(expected), atol=1e-6)


@pytest.mark.parametrize(
    ("name", "said", "says"),
    [
        ("detr", {"size": EDGES, "pad_size": {"height": 99, "width": 140}}, r"pads images to 99x140 .*larger"),
        ("detr", {"do_resize": False, "pad_size": {"height": 99, "width": 99}}, "does not resize"),
        ("segformer", {"size": {"longest_edge": 64}}, "max_height and max_width are provided"),
        ("segformer", {"size": {"height": 64, "width": 96}, "resample": 1}, "Pillow's filter 1"),
    ],
)
def test_what_is_not_provided_is_told(name: str, said: dict[str, Any], says: str, tmp_path: Path) -> None:
    saved(name, tmp_path, said)
    with pytest.raises(SegshipError, match=says):
        load(tmp_path)


@pytest.mark.parametrize("name", ["segformer", "dpt", "maskformer", "detr"])
def test_images_are_resized_by_torchvision_where_it_is_asked_for(name: str, tmp_path: Path, image: Any) -> None:
    transformers = pytest.importorskip("transformers")
    pytest.importorskip("torchvision", reason="pip install segship[torchvision]", exc_type=ImportError)
    _, processor = save(name, tmp_path)
    kind = getattr(transformers, type(processor).__name__.removesuffix("Pil"))
    expected = kind.from_pretrained(tmp_path)(images=image[:, :, ::-1].copy(), return_tensors="pt")["pixel_values"]
    pixels = {each: prepare(image, load(tmp_path, cfg_options={"backend": each}).spec).tensor for each in BACKENDS}
    np.testing.assert_allclose(pixels["torchvision"], expected.numpy(), atol=1e-6)
    np.testing.assert_array_equal(pixels["pil"], prepare(image, load(tmp_path).spec).tensor)
    assert np.abs(pixels["pil"] - pixels["torchvision"]).max() > 1e-3


def test_another_backend_of_images_is_told(tmp_path: Path) -> None:
    save("segformer", tmp_path)
    with pytest.raises(SegshipError, match="backend is 'tensorflow', expected pil or torchvision"):
        load(tmp_path, cfg_options=["backend=tensorflow"])
