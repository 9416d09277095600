from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from segship import load_network
from segship.core.errors import CheckpointError, ConfigError, InputError, UnsafeFileError, UnsupportedError
from segship.core.files import digest
from segship.core.spec import Resize
from segship.sources import find_source, load, sources

CONFIG = """
norm_cfg = dict(type='SyncBN', requires_grad=True)
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(type='SegDataPreProcessor', mean=[1, 2, 3], std=[4, 5, 6], bgr_to_rgb=True),
    backbone=dict(type='CGNet', norm_cfg=norm_cfg, num_channels=(8, 16, 32), num_blocks=(2, 2)),
    decode_head=dict(
        type='FCNHead', in_channels=64, in_index=2, channels=64, num_convs=0, concat_input=False, num_classes=3),
    auxiliary_head=dict(
        type='FCNHead', in_channels=35, in_index=0, channels=8, num_convs=1, num_classes=3, norm_cfg=norm_cfg))
test_pipeline = [dict(type='LoadImageFromFile'), dict(type='Resize', scale=(64, 32)), dict(type='PackSegInputs')]
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.py"
    path.write_text(CONFIG)
    return path


@pytest.fixture
def checkpoint(config: Path) -> Path:
    torch.manual_seed(0)
    state: dict[str, Any] = dict(load_network(config, with_auxiliary=True).state_dict())
    state["decode_head.conv_seg.bias"] = torch.tensor([1.0, 1e-40, -1e-42])
    path = config.with_name("iter_1.pth")
    torch.save({"state_dict": state, "meta": {"dataset_meta": {"classes": ("a", "b", "c"), "palette": None}}}, path)
    return path


def test_network_and_meaning_are_loaded(config: Path, checkpoint: Path) -> None:
    loaded = load(config, checkpoint)
    assert loaded.spec.source == "mmseg"
    assert loaded.spec.classes == ("a", "b", "c")
    assert loaded.spec.geometry == (Resize(width=64, height=32),)
    (note,) = loaded.notes
    assert "None for a palette" in note
    assert loaded.denormals == 2
    assert dict(loaded.origin) == {"config.py": digest(config), "iter_1.pth": digest(checkpoint)}
    assert torch.equal(loaded.network.state_dict()["decode_head.conv_seg.bias"], torch.tensor([1.0, 0.0, 0.0]))


def test_both_ways_give_the_same_network(config: Path, checkpoint: Path) -> None:
    x = torch.randn(1, 3, 32, 64, generator=torch.Generator().manual_seed(0))
    alone = load_network(str(config), str(checkpoint))
    assert torch.equal(alone(x), load(config, checkpoint).network(x))
    assert alone(x).shape == (1, 3, 32, 64)


def test_auxiliary_heads_come_on_request(config: Path, checkpoint: Path) -> None:
    stored = torch.load(checkpoint, weights_only=True)["state_dict"]
    network = load_network(config, checkpoint, with_auxiliary=True)
    key = "auxiliary_head.conv_seg.weight"
    assert torch.equal(network.state_dict()[key], stored[key])
    assert key not in load_network(config, checkpoint).state_dict()


def test_random_weights_have_to_be_asked_for(config: Path) -> None:
    with pytest.raises(InputError, match=r"after config\.py comes its checkpoint.*--random-weights"):
        load(config)
    loaded = load(config, random_weights=True)
    assert loaded.provenance.random_weights
    assert loaded.denormals == 0
    assert list(loaded.origin) == ["config.py"]
    assert "class-0" in loaded.notes[0]


@pytest.mark.parametrize("options", [["model.decode_head.num_classes=7"], {"model.decode_head.num_classes": 7}])
def test_options_change_the_config(config: Path, checkpoint: Path, options: Any) -> None:
    assert load_network(config, cfg_options=options).num_classes == 7
    with pytest.raises(CheckpointError, match="number of classes differs: the checkpoint has 3, the config 7"):
        load(config, checkpoint, cfg_options=options)


def test_unsafe_checkpoint_is_refused(config: Path) -> None:
    path = config.with_name("evil.pth")
    path.write_bytes(b"cos\nsystem\n(S'touch ran'\ntR.")
    with pytest.raises(UnsafeFileError, match=r"os.system"):
        load(config, path)
    with pytest.raises(UnsafeFileError, match=r"os.system"):
        load_network(config, path)


def test_sources_are_found_and_named() -> None:
    assert "mmseg" in sources()
    assert find_source(Path("nowhere.py"), "mmseg") is sources()["mmseg"]
    with pytest.raises(UnsupportedError, match=r"no source is called 'mmsegg'.*Did you mean 'mmseg'"):
        find_source(Path("nowhere.py"), "mmsegg")


@pytest.mark.parametrize(
    ("name", "data", "recognised"),
    [
        ("a.py", b"x = 1", True),
        ("a.json", b'{"model": {}}', True),
        ("a.json", b'{"_base_": "b.json"}', True),
        ("a.json", b'{"architectures": ["X"]}', False),
        ("a.json", b"[1]", False),
        ("a.json", b"\xff{", False),
        ("a.json", b"[" * 100_000, False),
        ("a.txt", b"x = 1", False),
    ],
)
def test_configs_are_recognised(tmp_path: Path, name: str, data: bytes, *, recognised: bool) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    assert sources()["mmseg"].recognises(path) is recognised
    if not recognised:
        with pytest.raises(ConfigError, match=r"is not recognised. Looked for .*MMSegmentation"):
            load(path, None)


def test_missing_config_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        load(tmp_path / "a.py", None)
    (tmp_path / "b.py").mkdir()
    with pytest.raises(ConfigError, match="not recognised"):
        load(tmp_path / "b.py", None)


def test_real_trained_networks_are_loaded(shared: Path) -> None:
    weights = shared / "weights"
    loaded = load(
        weights / "ddrnet_camvid" / "ddrnet_23-slim_camvid-360x480.py", weights / "ddrnet_camvid" / "iter_2400.pth"
    )
    assert loaded.spec.classes[0] == "sky"
    assert loaded.notes == ()
    loaded = load(
        shared / "reference" / "camvid" / "cgnet_camvid-360x480.py",
        weights / "cgnet_camvid" / "cgnet_camvid_mmseg_keys.pth",
    )
    assert loaded.denormals > 100_000


def test_a_config_and_a_checkpoint_in_each_others_place_are_named(tmp_path: Path) -> None:
    config, weights = tmp_path / "net.py", tmp_path / "iter_1.pth"
    config.write_text("model = dict(type='EncoderDecoder')\n")
    torch.save({"state_dict": {}}, weights)
    with pytest.raises(ConfigError, match=r"net\.py is the config and \S*iter_1\.pth the checkpoint"):
        load(weights, config)


@pytest.mark.parametrize("name", ["whole.pth", "scripted.ts", "model.pt"])
def test_a_file_of_torch_alone_says_too_little(name: str, tmp_path: Path) -> None:
    torch.save(torch.nn.Conv2d(3, 2, 1), tmp_path / name)
    with pytest.raises(ConfigError, match=r"is not recognised: .*torch\.save\(model\).*--source python:package"):
        load(tmp_path / name)


def test_a_config_that_says_it_takes_no_normalize(tmp_path: Path) -> None:
    config = tmp_path / "net.py"
    config.write_text("model = dict(type='EncoderDecoder')\n")
    with pytest.raises(InputError, match="says itself how images are normalised: leave out --normalize unit"):
        load(config, normalize="unit", random_weights=True)


def test_a_name_of_the_hub_is_told_how_to_go_on() -> None:
    with pytest.raises(
        ConfigError, match="segship zoo download hf:nvidia/segformer-b0 --to segformer-b0, and give the folder"
    ):
        find_source(Path("nvidia/segformer-b0"))
    for path in ("configs/lost.py", "/nvidia/segformer", "lost", "a/b/c"):
        with pytest.raises(ConfigError, match=r"does not exist$"):
            find_source(Path(path))
