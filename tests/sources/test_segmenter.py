"""Segmenter's networks against what its own code computed with the same weights."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from segship.core.errors import CheckpointError, ConfigError, UnsafeFileError, UnsupportedError
from segship.deploy import export
from segship.networks.session import EagerSession
from segship.runtime import Segmentor
from segship.runtime.pipeline import Pipeline
from segship.sources import Loaded, Source, find_source, load, sources
from segship.vision.decode import read_image
from support import fill
from support.references import REFERENCES

RECORDED = sorted((REFERENCES / "segmenter").glob("*.json"))
NOISE, LABELS = 3e-5, 0.999


def trained(folder: Path, record: Path) -> Path:
    """A folder as Segmenter's training leaves it."""
    shutil.copy(record.with_name(f"{record.stem}.variant.yml"), folder / "variant.yml")
    state = json.loads(record.read_text())["state"]
    weights = {key: torch.from_numpy(fill.fill(key, tuple(shape))) for key, (_, shape) in state.items()}
    torch.save({"model": weights, "optimizer": {}, "epoch": 63}, folder / "checkpoint.pth")
    return folder


@pytest.fixture(scope="module", params=RECORDED, ids=lambda path: path.stem)
def recorded(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, Any], dict[str, Any], Loaded]:
    folder = trained(tmp_path_factory.mktemp("segmenter"), request.param)
    return json.loads(request.param.read_text()), dict(np.load(request.param.with_suffix(".npz"))), load(folder)


def test_logits_equal_segmenters(recorded: tuple[dict[str, Any], dict[str, Any], Loaded]) -> None:
    record, arrays, loaded = recorded
    for case in record["cases"]:
        height, width = case["size"]
        rows, columns = case["step"]
        with torch.inference_mode():
            logits = loaded.network(torch.from_numpy(fill.image(height, width)))
        assert list(logits.shape) == case["shape"]
        difference = np.abs(logits[0, :, ::rows, ::columns].numpy() - arrays[f"logits_{height}x{width}"])
        assert difference.max() / case["absmax"] < NOISE
        assert (logits[0].argmax(0)[::4, ::4].numpy() == arrays[f"labels_{height}x{width}"]).mean() >= LABELS


def test_windows_equal_segmenters(recorded: tuple[dict[str, Any], dict[str, Any], Loaded]) -> None:
    record, arrays, loaded = recorded
    image = read_image(REFERENCES / "pipeline" / Path(record["image"]).name)
    pipeline = Pipeline(EagerSession(loaded.network), loaded.spec, loaded.network.sizes)
    assert (pipeline.labels(image, "bgr") == arrays["window_labels"]).mean() >= LABELS
    scores = pipeline.scores(image, "bgr")[:, ::16, ::16]
    assert np.abs(scores - arrays["window_scores"]).max() / arrays["window_scores"].max() < NOISE


def test_meaning_comes_from_the_variant(recorded: tuple[dict[str, Any], dict[str, Any], Loaded]) -> None:
    loaded = recorded[2]
    assert loaded.notes == ()
    assert loaded.spec.classes[:3] == ("wall", "building", "sky")
    assert loaded.spec.reduce_zero_label
    assert set(loaded.origin) == {"variant.yml", "checkpoint.pth"}
    deit = loaded.spec.normalization.std != (127.5, 127.5, 127.5)
    assert deit == ("deit" in loaded.spec.architecture)


def small(folder: Path, *, patch: int = 16, distilled: bool = False, decoder: str = "mask_transformer") -> Path:
    """A variant of one layer without weights."""
    net = {
        "backbone": f"vit_small_patch{patch}", "image_size": [64, 96], "patch_size": patch, "d_model": 64, "n_heads": 2,
        "n_layers": 1, "n_cls": 5, "distilled": distilled, "normalization": "vit",
        "decoder": {"name": decoder, "n_layers": 1},
    }  # fmt: skip
    inference = {"im_size": 64, "window_size": 64, "window_stride": 32}
    folder.mkdir(exist_ok=True)
    (folder / "variant.yml").write_text(yaml.dump({"net_kwargs": net, "inference_kwargs": inference}))
    return folder


@pytest.mark.parametrize("patch", [8, 16, 32])
@pytest.mark.parametrize("distilled", [False, True])
@pytest.mark.parametrize("decoder", ["linear", "mask_transformer"])
def test_every_kind_can_be_built(tmp_path: Path, patch: int, decoder: str, *, distilled: bool) -> None:
    folder = small(tmp_path, patch=patch, distilled=distilled, decoder=decoder)
    loaded = load(folder, random_weights=True)
    assert loaded.network(torch.zeros(1, 3, 50, 70)).shape == (1, 5, 50, 70)
    assert loaded.network.state_dict()["backbone.pos_embed"].shape[1] == 64 * 96 // patch**2 + 1 + distilled
    assert loaded.provenance.random_weights


@pytest.mark.parametrize("name", ["", "variant.yml", "checkpoint.pth"])
def test_folder_variant_or_checkpoint_may_be_named(tmp_path: Path, name: str) -> None:
    folder = small(tmp_path)
    (folder / "checkpoint.pth").write_bytes(b"")
    assert find_source(folder / name) is sources()["segmenter"]
    with pytest.raises(CheckpointError, match=r"checkpoint.pth is empty"):
        load(folder / name)


def test_mistakes_are_told(tmp_path: Path) -> None:
    folder = small(tmp_path)
    with pytest.raises(UnsupportedError, match=r"windows of 70 pixels.*window_size=80"):
        load(folder, cfg_options=["inference_kwargs.window_size=70"])
    with pytest.raises(ConfigError, match=r"net_kwargs.patch_size.*inference_kwargs"):
        load(folder, cfg_options=["net_kwargs.patch_size=big", "inference_kwargs.window_stride=0"])
    with pytest.raises(ConfigError, match=r"windows of 64 every 65 pixels, which leaves gaps"):
        load(folder, cfg_options=["inference_kwargs.window_size=64", "inference_kwargs.window_stride=65"])
    torch.save({"model": {"encoder.cls_token": torch.zeros(1, 1, 8)}}, folder / "checkpoint.pth")
    with pytest.raises(CheckpointError, match=r"missing.*misshapen.*written for"):
        load(folder)
    (folder / "other.pth").touch()
    (folder / "checkpoint.pth").rename(folder / "best.pth")
    with pytest.raises(CheckpointError, match=r"several checkpoints \(best.pth, other.pth\)"):
        load(folder)


def test_options_that_nobody_reads_are_refused_or_passed_over_and_told(tmp_path: Path) -> None:
    folder = small(tmp_path)
    options = ["inference_kwargs.window_strides=8", "net_kwargs.decoder.layers=3", "turbo=1"]
    with pytest.raises(ConfigError) as caught:
        load(folder, cfg_options=options, random_weights=True)
    for said in (
        "there is no option 'turbo'",
        "no option 'window_strides'. Did you mean 'window_stride'",
        "'n_layers'",
    ):
        assert said in str(caught.value)
    loaded = load(folder, cfg_options=options, random_weights=True, ignore_unknown=True)
    assert len(loaded.provenance.ignored) == 3
    assert sum(note.startswith("Ignored, as you asked for: ") for note in loaded.notes) == 3


def test_tuples_of_the_dumper_are_read_and_objects_refused(tmp_path: Path) -> None:
    folder = small(tmp_path)
    path = folder / "variant.yml"
    values = yaml.safe_load(path.read_text())
    values["net_kwargs"]["image_size"] = (64, 96)
    path.write_text(yaml.dump(values))
    assert "python/tuple" in path.read_text()
    assert load(folder, random_weights=True).network.sizes.multiple_of == 16
    path.write_text(f"x: !!python/object/apply:os.mkdir ['{tmp_path / 'ran'}']\n")
    with pytest.raises(ConfigError, match="no YAML of plain values"):
        load(folder)
    assert not (tmp_path / "ran").exists()


def test_hostile_checkpoint_runs_nothing(tmp_path: Path) -> None:
    folder = small(tmp_path)
    (folder / "checkpoint.pth").write_bytes(b"cos\nsystem\n(S'touch ran'\ntR.")
    with pytest.raises(UnsafeFileError, match=r"os.system"):
        load(folder)


def test_a_package_slides_its_windows(tmp_path: Path) -> None:
    torch.manual_seed(0)
    package = export(Source(small(tmp_path / "trained"), random_weights=True), tmp_path / "package")
    assert package.manifest.sizes.multiple_of == 16
    assert min(check.labels_equal for check in package.manifest.checks) == 1
    image = read_image(REFERENCES / "pipeline" / "street_300x401.png")
    assert Segmentor(package.path)(image[:40, :150]).shape == (40, 150)
