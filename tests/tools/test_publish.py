from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
import torch

from segship.core.errors import InputError
from segship.reading.checkpoint import read_checkpoint
from segship.tools.publish import publish
from support.commands import segship


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    shared = torch.randn(100)
    weights = {
        "backbone.conv.weight": torch.randn(4, 3, 3, 3).to(memory_format=torch.channels_last),
        "backbone.part": shared[10:20],
        "backbone.half": torch.tensor([1.5, float("nan")], dtype=torch.bfloat16),
        "backbone.bn.num_batches_tracked": torch.tensor(7),
        "backbone.empty": torch.zeros(0, 3),
    }
    state = {f"module.{key}": value for key, value in weights.items()}
    content = {
        "state_dict": state | {"module.ema_backbone_part": torch.zeros(10)},
        "ema_state_dict": {"steps": torch.tensor(3)},
        "optimizer": {"state": {0: {"exp_avg": torch.zeros(10_000)}}},
        "message_hub": {"log_scalars": {"lr": 0.1}},
        "param_schedulers": [{"last_step": 3}],
        "meta": {"dataset_meta": {"classes": ("road", "sky")}, "iter": 80, "cfg": "work_dir = '/home/somebody'"},
    }
    torch.save(content, tmp_path / "iter_80.pth")
    return tmp_path / "iter_80.pth"


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_the_file_holds_the_weights_alone_and_its_name_tells_its_digest(checkpoint: Path, suffix: str) -> None:
    done = publish(checkpoint, checkpoint.with_name(f"fcn{suffix}"))
    digest = hashlib.sha256(done.path.read_bytes()).hexdigest()
    assert done.path.name == f"fcn-{digest[:8]}{suffix}"
    assert (done.sha256, done.tensors) == (digest, 5)
    assert done.size < 10_000 < done.source_size
    before, after = read_checkpoint(checkpoint), read_checkpoint(done.path)
    assert list(after.state) == list(before.state)
    assert after.state["backbone.half"].isnan().tolist() == [False, True]
    assert after.state["backbone.part"].untyped_storage().nbytes() == 40
    assert list(after.meta["dataset_meta"]["classes"]) == ["road", "sky"]
    assert "cfg" not in after.meta
    assert b"somebody" not in done.path.read_bytes()


def test_a_pth_file_loads_with_weights_only(checkpoint: Path) -> None:
    content = torch.load(publish(checkpoint).path, weights_only=True)
    assert sorted(content) == ["meta", "state_dict"]


def test_safetensors_itself_reads_what_is_written(checkpoint: Path) -> None:
    library = pytest.importorskip("safetensors.torch", reason="safetensors is not installed")
    state = library.load_file(publish(checkpoint, checkpoint.with_name("fcn.safetensors")).path)
    expected = read_checkpoint(checkpoint).state
    assert sorted(state) == sorted(expected)
    assert torch.equal(state["backbone.conv.weight"], expected["backbone.conv.weight"])


def test_meta_data_is_kept_where_that_is_asked_for(checkpoint: Path) -> None:
    assert "somebody" in read_checkpoint(publish(checkpoint, keep_meta=True).path).meta["cfg"]


def test_another_suffix_is_refused_and_nothing_written(checkpoint: Path) -> None:
    with pytest.raises(InputError, match=r"expected \.pth or \.safetensors"):
        publish(checkpoint, checkpoint.with_name("fcn.onnx"))
    assert [path.name for path in checkpoint.parent.iterdir()] == [checkpoint.name]


def test_the_published_network_is_the_same_network(trained: tuple[Path, Path], tmp_path: Path) -> None:
    from segship import load_network

    done = segship("tools", "publish", trained[1], tmp_path / "small.safetensors", "--json", "-")
    assert done.returncode == 0, done.stderr
    path = json.loads(done.stdout)["path"]
    before, after = (load_network(trained[0], file).state_dict() for file in (trained[1], path))
    assert all(torch.equal(before[key], after[key]) for key in before)
