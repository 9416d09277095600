"""Graphs of transformers' networks, at sizes and a batch that they were not traced at, against the library itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from torch.nn.functional import interpolate

pytest.importorskip("transformers", reason="pip install segship[huggingface]")

from segship.capture.onnx import write_onnx
from segship.capture.options import CaptureOptions
from segship.core.errors import ConfigError, UnsupportedError
from segship.core.spec import SizeRule, Slide
from segship.core.target import Target
from segship.deploy.shapes import fit
from segship.networks.session import EagerSession
from segship.runtime.pipeline import Pipeline
from segship.sources import load
from segship.vision.decode import read_image
from segship.vision.preprocess import prepare
from support import fill
from support.hugging import NETWORKS, TORCHVISION, save
from support.references import REFERENCES

NOISE = 3e-5
PATCHES = {
    "upernet-dinov2": 14,
    "upernet-dinov2-registers": 14,
    "tipsv2": 14,
    "beit": 16,
    "upernet-dinov3": 16,
    "sapiens2": 16,
    "dpt": 16,
}
FIXED = {"data2vec", "eomt-pad", "eomt-split", "eomt-dinov3"}
FREE = sorted((NETWORKS.keys() | TORCHVISION) - FIXED)
pytestmark = pytest.mark.filterwarnings("ignore")  # the library's own, of many kinds


def library_scores(name: str, model: Any, x: torch.Tensor) -> torch.Tensor:
    """What the library's processor makes of the output before it resizes it to the image."""
    if name == "oneformer":
        model = _Told(model)
    output = model(x, interpolate_pos_encoding=True) if name == "beit" else model(x)
    if hasattr(output, "pred_masks"):
        masks, classes = output.pred_masks, output.logits
    elif hasattr(output, "masks_queries_logits"):
        masks, classes = output.masks_queries_logits, output.class_queries_logits
    else:
        return output.logits
    if name in {"mask2former", "oneformer"}:
        masks = interpolate(masks, (384, 384), mode="bilinear") if name == "mask2former" else masks
    return torch.einsum("bqc,bqhw->bchw", classes.softmax(-1)[..., :-1], masks.sigmoid())


class _Told:
    def __init__(self, model: Any) -> None:
        self.model = model

    def __call__(self, x: torch.Tensor) -> Any:
        from segship.sources.huggingface.masks import TaskMasks

        tokens = TaskMasks(self.model, Path(self.model.name_or_path)).task
        return self.model(x, task_inputs=tokens.expand(x.shape[0], -1))


@pytest.mark.parametrize("name", FREE)
def test_a_graph_gives_the_librarys_scores_at_three_sizes_it_was_not_traced_at(name: str, tmp_path: Path) -> None:
    model, _ = save(name, tmp_path)
    loaded = load(tmp_path)
    assert loaded.network.sizes.fixed is None
    patch = PATCHES.get(name, 16)
    graph = write_onnx(loaded.network, tmp_path / "graph.onnx", CaptureOptions(size=(patch * 6, patch * 4)))
    session = onnxruntime.InferenceSession(graph.path, providers=["CPUExecutionProvider"])
    # DPT of the library takes squares alone; others also sizes that are no whole patches, or none of 32.
    sizes = [(5, 5), (8, 8), (11, 11)] if name == "dpt" else [(5, 7), (8, 3), (9, 10)]
    rest = 0 if name in PATCHES else 7
    model.name_or_path = str(tmp_path)
    for rows, columns in sizes:
        x = torch.from_numpy(fill.image(patch * rows + rest, patch * columns + 2 * rest, batch=2))
        with torch.inference_mode():
            expected = library_scores(name, model, x)
        found = torch.from_numpy(session.run(None, {"image": x.numpy()})[0])
        if found.shape != expected.shape:  # UPerNet's last resize is the package's
            assert loaded.spec.resize_logits == "through_input"
            found = interpolate(found, expected.shape[2:], mode="bilinear")
        assert (found - expected).abs().max() / expected.abs().max() < NOISE, x.shape


@pytest.mark.parametrize("name", ["eomt-split", "eomt-pad", "eomt-dinov3"])
@pytest.mark.parametrize("picture", ["street_300x401.png", "portrait"])
def test_eomt_cuts_or_pads_and_merges_as_its_processor(name: str, picture: str, tmp_path: Path) -> None:
    image = read_image(REFERENCES / "pipeline" / "street_300x401.png")
    image = image[:, :120] if picture == "portrait" else image
    model, processor = save(name, tmp_path)
    inputs = processor(images=image[:, :, ::-1].copy(), return_tensors="pt")
    with torch.inference_mode():
        output = model(inputs["pixel_values"], patch_offsets=inputs["patch_offsets"])
    expected = processor.post_process_semantic_segmentation(output, target_sizes=[image.shape[:2]])[0].numpy()
    loaded = load(tmp_path)
    assert loaded.network.sizes == SizeRule(fixed=(64, 64))
    spec, sizes = fit(loaded.spec, loaded.network.sizes, Target.parse("onnxruntime_dynamic").shape)  # a package's
    found = Pipeline(EagerSession(loaded.network), spec, sizes).labels(image, "bgr")
    assert (found == expected).mean() >= 0.9999
    if "pad" in name:
        np.testing.assert_allclose(prepare(image, loaded.spec).tensor, inputs["pixel_values"].numpy(), atol=1e-6)
    else:
        assert loaded.spec.slide == Slide(crop=(64, 64), stride=(64, 64), spread=True)


def test_eomt_that_transformers_cannot_run_is_refused(tmp_path: Path) -> None:
    model, _ = save("eomt-split", tmp_path)
    with pytest.raises(ConfigError, match=r"64x64.*leave image_size out"):
        load(tmp_path, cfg_options=["image_size=[96,96]"])
    with pytest.raises(UnsupportedError, match="splits images"):
        load(tmp_path, cfg_options=["processor.size.longest_edge=96"])
    with pytest.raises(UnsupportedError, match="splits images"):
        load(tmp_path, cfg_options=["processor.do_pad=true"])
    with pytest.raises(ConfigError, match=r"cuts images into 48x48.*takes 64x64"):
        load(tmp_path, cfg_options=["processor.size.shortest_edge=48"])
    model.attn_mask_probs.fill_(0.5)
    model.save_pretrained(tmp_path)
    with pytest.raises(UnsupportedError, match="fading out"):
        load(tmp_path)


@pytest.mark.parametrize("name", sorted(TORCHVISION))
def test_processors_that_need_torchvision_are_read_without_it(name: str, tmp_path: Path) -> None:
    save(name, tmp_path)
    (step,) = load(tmp_path, cfg_options=["processor.size.height=112", "processor.size.width=84"]).spec.geometry
    assert (step.plan(50, 50).size, step.resampling) == ((112, 84), "torchvision_bilinear")
    with pytest.raises(ConfigError, match="has no option 'do_crop'"):
        load(tmp_path, cfg_options=["processor.do_crop=true"])
    with pytest.raises(ConfigError, match="height 'tall', expected a whole number"):
        load(tmp_path, cfg_options=["processor.size.height=tall"])
