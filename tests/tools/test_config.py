from __future__ import annotations

import json
from pathlib import Path

import pytest

from segship.core.errors import ConfigError, InputError
from segship.reading.configs.config import read_config
from segship.tools.config import compare, resolve
from segship.tools.config.graph import network_graph
from support.commands import refused, segship
from support.references import configs
from support.tiny import tiny_network

AWKWARD = """
_base_ = './base.py'
model = dict(backbone=dict(depth=101), neck=dict(_delete_=True, type='FPN'))
empty = dict(a={}, b=[], c=(), d=(1,), e='', f=None)
words = {'not an identifier': 1, 'class': 2, 3: 4}
numbers = [1e-8, float('inf'), -0.0, True, 10**20]
text = 'it\\'s "quoted"\\nand ünicode'
long = [dict(type='LoadImageFromFile', to_float32=False, color_type='color', imdecode_backend='cv2')] * 3
"""
BASE = "model = dict(type='EncoderDecoder', backbone=dict(depth=50, strides=(1, 2)), neck=dict(type='JPU', width=3))\n"


@pytest.fixture
def awkward(tmp_path: Path) -> Path:
    (tmp_path / "base.py").write_text(BASE)
    (tmp_path / "awkward.py").write_text(AWKWARD)
    return tmp_path / "awkward.py"


def test_python_reads_back_equal_without_the_base_files(awkward: Path, tmp_path: Path) -> None:
    printed = tmp_path / "elsewhere" / "printed.py"
    printed.parent.mkdir()
    printed.write_text(resolve(awkward).text())
    values = read_config(printed).values
    assert values == read_config(awkward).values
    assert values["model"]["neck"] == {"type": "FPN"}
    assert type(values["empty"]["d"]) is tuple
    assert max(map(len, printed.read_text().splitlines())) <= 120


@pytest.mark.parametrize(
    "name",
    [
        "pspnet/pspnet_r50-d8_4xb2-40k_cityscapes-512x1024.py",
        "mask2former/mask2former_swin-t_8xb2-160k_ade20k-512x512.py",
        "san/san-vit-b16_coco-stuff164k-640x640.py",
    ],
)
def test_real_configs_read_back_equal(name: str, tmp_path: Path) -> None:
    (tmp_path / "printed.py").write_text(resolve(configs() / name).text())
    assert read_config(tmp_path / "printed.py").values == read_config(configs() / name).values


def test_json_and_yaml_hold_the_same_values_with_lists_for_tuples(awkward: Path) -> None:
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
    found = resolve(awkward, cfg_options=["numbers=[1,2]", "words=None"])
    plain = json.loads(found.text("json"))
    assert plain == yaml.safe_load(found.text("yaml"))
    assert plain["model"]["backbone"] == {"depth": 101, "strides": [1, 2]}
    assert plain["numbers"] == [1, 2]
    assert "&id" not in found.text("yaml")


def test_an_unknown_format_is_refused_with_the_near_one(awkward: Path) -> None:
    with pytest.raises(InputError, match="Did you mean 'yaml'"):
        resolve(awkward).text("yml")


def test_differences_are_told_by_key(awkward: Path) -> None:
    base = awkward.with_name("base.py")
    found = {difference.key: difference for difference in compare(base, awkward)}
    assert (found["model.backbone.depth"].before, found["model.backbone.depth"].after) == (50, 101)
    assert found["model.neck.width"].kind == "removed"
    assert found["text"].kind == "added"
    assert "model.backbone.strides" not in found
    assert str(found["model.backbone.depth"]) == "- model.backbone.depth = 50\n+ model.backbone.depth = 101"


def test_what_an_override_changes_can_be_seen(awkward: Path) -> None:
    (only,) = compare(awkward, awkward, cfg_options=["model.backbone.strides=(2,2)"])
    assert (only.key, only.before, only.after) == ("model.backbone.strides", (1, 2), (2, 2))


def test_the_tree_has_the_shapes_of_what_modules_return() -> None:
    tree = network_graph(tiny_network(), (64, 96))
    backbone, head = tree.children
    assert tree.shapes == ((1, 4, 64, 96),)
    assert backbone.shapes == ((1, 8, 16, 24),)
    assert [child.name for child in backbone.children] == ["conv1", "bn", "conv2"]
    assert backbone.children[0].settings.startswith("3, 8, kernel_size=(3, 3)")
    assert head.params == 4 * 32 + 4
    assert list(tree.lines(1))[2] == "  decode_head: TinyHead -> 1x4x16x24"


def test_the_command_prints_diffs_and_draws(trained: tuple[Path, Path], tmp_path: Path) -> None:
    config = trained[0]
    printed = segship("tools", "config", config, "--cfg-options", "model.decode_head.num_classes=7")
    assert "num_classes=7" in printed.stdout
    assert segship("tools", "config", config, "--graph", "--out", tmp_path / "tree.txt").returncode == 0
    assert (tmp_path / "tree.txt").read_text().startswith("EncoderDecoder -> 1x4x512x1024\n")
    same, other = (
        segship("tools", "config", "diff", config, config, *options)
        for options in ((), ("--cfg-options", "model.decode_head.num_classes=7"))
    )
    assert (same.returncode, same.stdout) == (0, "")
    assert (other.returncode, other.stdout.splitlines()[1]) == (1, "+ model.decode_head.num_classes = 7")
    assert "expected CONFIG, or diff A B" in refused(segship("tools", "config", config, config))


def test_configs_are_not_run(tmp_path: Path) -> None:
    (tmp_path / "hostile.py").write_text(f"__import__('os').mkdir({str(tmp_path / 'ran')!r})\n")
    with pytest.raises(ConfigError, match="line 1"):
        resolve(tmp_path / "hostile.py")
    assert not (tmp_path / "ran").exists()
