"""What the writer says of a spec, the reader understands as the same; what it cannot say is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from segship.core.errors import UnsupportedError
from segship.core.geometry_steps import Resize
from segship.core.spec import ModelSpec, Normalization, Padding, Slide
from segship.formats.mmdeploy.documents import DEPLOY, PIPELINE, read_deploy, read_pipeline, write_json
from segship.formats.mmdeploy.transforms import read_transforms
from segship.formats.mmdeploy.writer import deploy_file, pipeline_file
from support.references import REFERENCES
from support.steps import EXAMPLES

SPEC = ModelSpec(
    source="mmseg",
    architecture="x",
    classes=("a", "b"),
    palette=((0, 0, 0), (1, 1, 1)),
    normalization=Normalization(channel_order="rgb", mean=(1, 2.5, 3), std=(4, 5, 6.125)),
)
BGR = Normalization(channel_order="bgr", mean=(0, 0, 0), std=(1, 1, 255))
BANDS = Normalization(mean=(1,) * 5, std=(1,) * 5)
SAID = {
    "nothing": {},
    "bgr": {"normalization": BGR},
    "resize": {"geometry": (Resize(width=1024, height=512),)},
    "ratio": {"geometry": (Resize(width=2048, height=1024, keep_ratio=True),), "normalization": BGR},
    "twice": {"geometry": (Resize(width=20, height=10, keep_ratio=True), Resize(width=8, height=8))},
}
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "filter": ({"geometry": (Resize(width=8, height=8, interpolation="pillow_bilinear"),)}, "by pillow_bilinear"),
    **{step.kind: ({"geometry": (step,)}, "has only Resize") for step in EXAMPLES if not isinstance(step, Resize)},
    "padding": ({"padding": Padding(multiple_of=32)}, "does not cut padding off"),
    "slide": ({"slide": Slide(crop=(8, 8), stride=(4, 4))}, "no sliding windows"),
    "directly": ({"geometry": SAID["resize"]["geometry"], "resize_logits": "directly"}, "decides at the network's"),
    "grey": ({"normalization": Normalization(mean=(1,), std=(1,))}, "three channels; this one takes 1"),
    "bands": (
        {"normalization": Normalization(mean=(1,) * 5, std=(1,) * 5), "pixels": "multispectral"},
        "this one takes 5",
    ),
}


def changed(update: dict[str, Any]) -> ModelSpec:
    return ModelSpec.model_validate(SPEC.model_dump() | update)


@pytest.mark.parametrize("update", SAID.values(), ids=SAID)
def test_what_is_written_is_read_as_the_same(update: dict[str, Any], tmp_path: Path) -> None:
    spec = changed(update)
    write_json(tmp_path / PIPELINE, pipeline_file(spec))
    tasks = read_pipeline(tmp_path)["pipeline"]["tasks"]
    found = read_transforms(tasks[0]["transforms"], tmp_path / PIPELINE)
    assert found == (spec.geometry, spec.normalization, spec.padding)
    assert tasks[2]["params"]["num_classes"] == 2


@pytest.mark.parametrize(("update", "message"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_said_is_refused(update: dict[str, Any], message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        pipeline_file(changed(update))


@pytest.mark.parametrize("dynamic", [True, False])
def test_the_engine_is_found_again(dynamic: bool, tmp_path: Path) -> None:
    written = deploy_file(dynamic=dynamic)
    write_json(tmp_path / DEPLOY, written)
    assert read_deploy(tmp_path) == written


def test_the_files_have_the_fields_of_mmdeploys_own() -> None:
    folder = REFERENCES / "mmdeploy"  # written by MMDeploy 1.3.1: oracles/record_mmdeploy.py
    theirs, ours = json.loads((folder / DEPLOY).read_text()), deploy_file(dynamic=True)
    assert theirs.keys() == ours.keys()
    assert theirs["models"][0].keys() == ours["models"][0].keys()
    tasks = json.loads((folder / PIPELINE).read_text())["pipeline"]["tasks"]
    transforms = {transform["type"]: transform for transform in tasks[0]["transforms"]}
    spec = changed({"geometry": (Resize(width=160, height=96, keep_ratio=True),)})
    written = pipeline_file(spec)["pipeline"]["tasks"]
    assert [task["module"] for task in written] == [task["module"] for task in tasks]
    for transform in written[0]["transforms"]:
        assert transform.keys() == transforms[transform["type"]].keys(), transform["type"]
