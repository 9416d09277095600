from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from record_weights import original_mit
from segship.core.errors import CheckpointError, InputError, UnsupportedError
from segship.models.registry import backbones
from segship.reading.checkpoint import read_checkpoint
from segship.reading.key_rules import rename
from segship.tools.weights import convert_weights, find_origin, origins
from segship.tools.weights.position import fit_position
from support import fill
from support.commands import refused, segship
from support.references import REFERENCES, configs

FOLDER = REFERENCES / "weights"
LN = {"norm_cfg": {"type": "LN", "eps": 1e-6}}
VIT = {"img_size": 64, "patch_size": 16, "embed_dims": 24, "num_heads": 2, "mlp_ratio": 4, **LN}
TWINS = {"embed_dims": [8, 16], "num_heads": [1, 2], "mlp_ratios": [4, 4], "depths": [2, 2], "sr_ratios": [4, 2], **LN}
STAGES = {"out_indices": (0, 1), "strides": (4, 2), "qkv_bias": True, "norm_after_stage": False}
CASES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "vit": ("vit", "VisionTransformer", {**VIT, "num_layers": 3, "final_norm": True, "patch_bias": True}),
    "deit_distilled": (
        "vit",
        "VisionTransformer",
        {**VIT, "num_layers": 2, "final_norm": True, "class_tokens": 2, "patch_bias": True},
    ),
    "beit": ("beit", "BEiT", {**VIT, "num_layers": 2, "init_values": 0.1, "out_indices": -1}),
    "swin": (
        "swin",
        "SwinTransformer",
        {
            "pretrain_img_size": 112,
            "embed_dims": 12,
            "depths": (2, 2),
            "num_heads": (2, 4),
            "strides": (4, 2),
            "out_indices": (0, 1),
        },
    ),
    "twins_pcpvt": ("twins", "PCPVT", {**TWINS, **STAGES}),
    "twins_svt": ("twins", "SVT", {**TWINS, **STAGES, "windiow_sizes": [7, 7]}),
    "convnext": (
        "convnext",
        "ConvNeXt",
        {
            "arch": {"depths": [1, 1, 2, 1], "channels": [8, 12, 16, 20]},
            "layer_scale_init_value": 0.1,
            "gap_before_final_norm": False,
        },
    ),
    "convnext_v2": (
        "convnext",
        "ConvNeXt",
        {
            "arch": {"depths": [1, 1, 1, 1], "channels": [8, 12, 16, 20]},
            "layer_scale_init_value": 0,
            "use_grn": True,
            "gap_before_final_norm": False,
        },
    ),
    "mobilenet_v2": ("mobilenet_v2", "MobileNetV2", {"widen_factor": 0.5, "out_indices": (6,)}),
    "mit": (
        "mit",
        "MixVisionTransformer",
        {
            "embed_dims": 8,
            "num_stages": 4,
            "num_layers": [1, 1, 2, 1],
            "num_heads": [1, 2, 3, 4],
            "sr_ratios": [8, 4, 2, 1],
            **LN,
        },
    ),
}


def original(name: str) -> tuple[dict[str, Tensor], int, np.ndarray[Any, Any]]:
    record = json.loads((FOLDER / f"{name}.json").read_text())
    state = {key: torch.from_numpy(fill.fill(key, tuple(shape))) for key, shape in record["keys"].items()}
    features = np.load(FOLDER / f"{name}.npz")["features"]
    return original_mit(state) if name == "mit" else state, record["size"], features


def converted(name: str, tmp_path: Path) -> dict[str, Tensor]:
    torch.save({"model": original(name)[0]}, tmp_path / "original.pth")
    return dict(convert_weights(tmp_path / "original.pth", tmp_path / "ours.pth").state)


def build(name: str) -> nn.Module:
    _, unit, options = CASES[name]
    return backbones[unit](**options).eval()


@pytest.mark.parametrize("name", CASES)
def test_the_converted_network_gives_the_originals_output(name: str, tmp_path: Path) -> None:
    network, (_, size, features) = build(name), original(name)
    missing, unexpected = network.load_state_dict(converted(name, tmp_path), strict=False)
    assert unexpected == []
    assert [key for key in missing if not key.endswith(("index", "tracked"))] == added(name)
    with torch.no_grad():
        found = network(torch.from_numpy(fill.image(size, size)))[-1].numpy()
    assert found.shape == features.shape
    assert np.abs(found - features).max() < 2e-5 * np.abs(features).max()


def added(name: str) -> list[str]:
    """Normalisations after the earlier stages, which only segmentation has."""
    return ["norm0.weight", "norm0.bias"] if name == "swin" else []


@pytest.mark.parametrize("name", CASES)
def test_the_origin_is_recognised_by_the_keys(name: str) -> None:
    assert find_origin(original(name)[0]) == CASES[name][0]


def test_an_official_swin_keeps_its_steps_before_the_next_stage(tmp_path: Path) -> None:
    timm = original("swin")[0]
    official = {key.replace("layers.1.downsample", "layers.0.downsample"): value for key, value in timm.items()}
    torch.save(official, tmp_path / "official.pth")
    state = convert_weights(tmp_path / "official.pth").state
    expected = converted("swin", tmp_path)
    assert sorted(state) == sorted(expected)
    assert all(torch.equal(state[key], expected[key]) for key in state)


def test_pretrained_beit_gives_every_block_the_shared_table(tmp_path: Path) -> None:
    own = original("beit")[0]
    shared = {key: value for key, value in own.items() if "relative_position" not in key}
    table = own["blocks.0.attn.relative_position_bias_table"]
    torch.save(shared | {"rel_pos_bias.relative_position_bias_table": table}, tmp_path / "pretrained.pth")
    state = convert_weights(tmp_path / "pretrained.pth").state
    assert all(torch.equal(state[f"layers.{block}.attn.relative_position_bias_table"], table) for block in (0, 1))


STDC_BLOCKS = {"stdc1": (2, 2, 2), "stdc2": (4, 5, 3)}


def official_stdc(kind: str) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Official keys and ours, numbers made from ours; written from the list of stages that the paper has."""
    config = {"stdc1": "stdc1_4xb12-80k_cityscapes-512x1024", "stdc2": "stdc2_4xb12-80k_cityscapes-512x1024"}[kind]
    from segship import load_network

    network = load_network(configs() / "stdc" / f"{config}.py").backbone.backbone
    ours = {key: value for key, value in network.state_dict().items() if "num_batches_tracked" not in key}
    ours = {key: torch.from_numpy(fill.fill(key, tuple(value.shape))) for key, value in ours.items()}
    first = dict(zip(("2", "3", "4"), np.cumsum([2, *STDC_BLOCKS[kind][:2]]), strict=True))
    theirs = {}
    for key, value in ours.items():
        _, stage, *rest = key.split(".")
        if stage in first:
            stage, rest = str(first[stage] + int(rest[0])), rest[1:]
        name = ".".join(["features", stage, *rest])
        for here, there in ((".layers.", ".conv_list."), (".downsample.conv.", ".avd_layer.0."),
                            (".downsample.bn.", ".avd_layer.1.")):  # fmt: skip
            name = name.replace(here, there)
        theirs[name] = value
    return theirs, ours


@pytest.mark.parametrize("kind", STDC_BLOCKS)
def test_stdc_finds_the_stage_of_every_block(kind: str, tmp_path: Path) -> None:
    theirs, ours = official_stdc(kind)
    # As its pre-training saves them: some weights twice, and a classifier.
    doubles = {"x2.0.conv.weight": theirs["features.0.conv.weight"], "linear.weight": torch.zeros(3, 4)}
    torch.save({"state_dict": theirs | doubles}, tmp_path / "stdc.pth")
    found = convert_weights(tmp_path / "stdc.pth")
    assert (found.origin, sorted(found.dropped)) == ("stdc", ["linear.weight", "x2.0.conv.weight"])
    assert sorted(found.state) == sorted(ours)
    assert all(torch.equal(found.state[key], ours[key]) for key in ours)


def test_the_real_cgnet_gets_the_keys_it_has_in_mmsegmentation(shared: Path, tmp_path: Path) -> None:
    folder = shared / "weights" / "cgnet_camvid"
    found = convert_weights(folder / "model_800.pth", tmp_path / "ours.pth")
    expected = read_checkpoint(folder / "cgnet_camvid_mmseg_keys.pth").state
    assert list(found.dropped) == []
    assert sorted(found.state) == sorted(expected)
    assert all(torch.equal(found.state[key], expected[key]) for key in expected)


CGNET = {
    "level1_0.conv.weight": "backbone.stem.0.conv.weight",
    "level1_2.act.weight": "backbone.stem.2.activate.weight",
    "b1.bn.running_var": "backbone.norm_prelu_0.0.running_var",
    "bn_prelu_3.act.weight": "backbone.norm_prelu_2.1.weight",
    "level2_0.conv1x1.act.weight": "backbone.level1.0.conv1x1.activate.weight",
    "level2_0.F_sur.conv.weight": "backbone.level1.0.f_sur.weight",
    "level2_0.reduce.conv.weight": "backbone.level1.0.bottleneck.weight",
    "level3.19.bn_prelu.act.weight": "backbone.level2.20.activate.weight",
    "level3.19.F_glo.fc.2.bias": "backbone.level2.20.f_glo.fc.2.bias",
    "classifier.0.conv.weight": "decode_head.conv_seg.weight",
}


def test_cgnets_names_are_translated_and_its_classifier_gets_a_bias(tmp_path: Path) -> None:
    torch.save({key: torch.full((2,), float(index)) for index, key in enumerate(CGNET)}, tmp_path / "cgnet.pth")
    state = convert_weights(tmp_path / "cgnet.pth").state
    assert {key: value[0].item() for key, value in state.items() if not key.endswith("conv_seg.bias")} == {
        new: index for index, new in enumerate(CGNET.values())
    }
    assert state["decode_head.conv_seg.bias"].tolist() == [0, 0]


@pytest.mark.parametrize("name", ["seg_tiny_mask_ade20k", "seg_small_linear_ade20k", "seg_deit_tiny_distilled_mask"])
def test_segmenter_is_converted_as_its_own_source_reads_it(name: str, shared: Path, tmp_path: Path) -> None:
    from segship import sources

    folder = shared / "reference" / "segmenter"
    (tmp_path / "variant.yml").write_bytes((folder / f"{name}.variant.yml").read_bytes())
    shapes = json.loads((folder / f"{name}.json").read_text())["state"]
    state = {key: torch.from_numpy(fill.fill(key, tuple(shape))) for key, (_, shape) in shapes.items()}
    torch.save({"model": state}, tmp_path / "checkpoint.pth")
    expected = sources.load(tmp_path).network.state_dict()
    found = convert_weights(tmp_path / "checkpoint.pth")
    assert found.origin == "segmenter"
    assert all(torch.equal(found.state[key], expected[key]) for key in found.state)
    assert {key for key in expected if key not in found.state} <= {
        "decode_head.conv_seg.weight",
        "decode_head.conv_seg.bias",
    }


def test_with_a_config_the_weights_are_loaded_strictly_and_positions_resized(tmp_path: Path) -> None:
    torch.save(original("vit")[0], tmp_path / "vit.pth")
    options = ["num_layers=3", "embed_dims=24", "num_heads=2", "img_size=(96,96)"]
    options = [f"model.backbone.{option}" for option in options] + ["model.neck.in_channels=[24,24,24,24]"]
    options += ["model.backbone.out_indices=[0,1,2,2]"]
    config = configs() / "vit/vit_deit-s16_mln_upernet_8xb2-160k_ade20k-512x512.py"
    found = convert_weights(tmp_path / "vit.pth", config=config, cfg_options=options)
    assert found.state["pos_embed"].shape == (1, 37, 24)
    assert any("from 4x4 to 6x6" in note for note in found.notes)
    assert any("ln1.weight is left behind" in note for note in found.notes)
    with pytest.raises(CheckpointError, match="not of this network"):
        convert_weights(tmp_path / "vit.pth", config=config)


def test_positions_are_resized_as_torch_resizes_maps() -> None:
    value = torch.randn(1, 1 + 16, 5)
    notes: list[str] = []
    found = fit_position("backbone.pos_embed", value, {"backbone.pos_embed": torch.zeros(1, 1 + 64, 5)}, notes)
    cells = value[:, 1:].transpose(1, 2).reshape(1, 5, 4, 4)
    expected = nn.functional.interpolate(cells, (8, 8), mode="bicubic").flatten(2).transpose(1, 2)
    assert torch.equal(found[:, :1], value[:, :1])
    assert torch.equal(found[:, 1:], expected)


def test_beits_table_follows_a_cubic_over_distances_that_grow() -> None:
    # Windows of 4 and of 6: sides of 7 and 11, whose edges 1 + q + q^2 and 5 meet at q = (sqrt(17) - 1) / 2, above 1.5.
    # At 1.5 the known distances are 1, 2.5 and 4.75; a cubic of them is a cubic between them.
    known = torch.tensor([-4.75, -2.5, -1, 0, 1, 2.5, 4.75], dtype=torch.float64)
    wanted = torch.arange(-5, 6, dtype=torch.float64).clamp(-4.75, 4.75)

    def values(place: torch.Tensor) -> torch.Tensor:
        rows, columns = place[:, None], place[None, :]
        return torch.stack([rows**3 - columns, rows * columns**2 + 1], 2).flatten(0, 1)

    extra = torch.randn(3, 2, dtype=torch.float64)
    value = torch.cat([values(known), extra])
    notes: list[str] = []
    key = "layers.0.attn.relative_position_bias_table"
    found = fit_position(key, value, {key: torch.zeros(11 * 11 + 3, 2)}, notes)
    assert torch.equal(found[-3:], extra)
    assert torch.allclose(found[:-3], values(wanted), atol=1e-3)  # the ratio is found to a millionth
    assert notes == [f"{key} was resized from windows of 4 to windows of 6 patches"]


def test_beit_of_another_image_size_takes_pretrained_weights(tmp_path: Path) -> None:
    torch.save(original("beit")[0], tmp_path / "beit.pth")
    (tmp_path / "beit.py").write_text(
        "model = dict(type='EncoderDecoder', backbone=dict(type='BEiT', img_size=(96, 96), patch_size=16, "
        "embed_dims=24, num_layers=2, num_heads=2, mlp_ratio=4, init_values=0.1, qv_bias=True, out_indices=(1,)), "
        "decode_head=dict(type='FCNHead', in_channels=24, in_index=0, channels=8, num_classes=3))"
    )
    found = convert_weights(tmp_path / "beit.pth", config=tmp_path / "beit.py")
    assert found.state["layers.1.attn.relative_position_bias_table"].shape == (11 * 11 + 3, 2)
    assert sum("windows of 4 to windows of 6" in note for note in found.notes) == 2


def test_swins_table_is_resized_as_torch_resizes_maps() -> None:
    value = torch.randn(49, 3)
    key = "stages.0.blocks.0.attn.w_msa.relative_position_bias_table"
    found = fit_position(key, value, {key: torch.zeros(121, 3)}, [])
    maps = value.T.reshape(1, 3, 7, 7)
    expected = nn.functional.interpolate(maps, (11, 11), mode="bicubic").flatten(2)[0].T
    assert torch.equal(found, expected)


def test_a_whole_network_keeps_its_heads(tmp_path: Path) -> None:
    state = {f"backbone.{key}": value for key, value in original("swin")[0].items()}
    torch.save({"state_dict": state | {"decode_head.conv_seg.weight": torch.ones(3)}}, tmp_path / "whole.pth")
    found = convert_weights(tmp_path / "whole.pth").state
    assert {key.partition(".")[0] for key in found} == {"backbone", "decode_head"}


def test_an_unknown_key_is_named_and_nothing_written(tmp_path: Path) -> None:
    torch.save(original("vit")[0] | {"blocks.0.ls1.gamma": torch.ones(24)}, tmp_path / "dinov2.pth")
    with pytest.raises(CheckpointError, match=r"blocks\.0\.ls1\.gamma"):
        convert_weights(tmp_path / "dinov2.pth", tmp_path / "ours.pth")
    assert not (tmp_path / "ours.pth").exists()


def test_what_is_not_recognised_is_refused_with_the_known_origins(tmp_path: Path) -> None:
    torch.save({"conv1.weight": torch.ones(3)}, tmp_path / "resnet.pth")
    with pytest.raises(CheckpointError, match=r"conv1\.weight.*name one of beit, cgnet"):
        convert_weights(tmp_path / "resnet.pth")
    with pytest.raises(UnsupportedError, match="Did you mean 'swin'"):
        convert_weights(tmp_path / "resnet.pth", origin="swim")
    with pytest.raises(InputError, match=r"expected \.pth"):
        convert_weights(tmp_path / "resnet.pth", tmp_path / "ours.onnx")


def test_two_keys_never_become_one() -> None:
    with pytest.raises(CheckpointError, match="two weights"):
        rename({"a.1": torch.ones(1), "a.2": torch.ones(1)}, [(r"a\.\d", "b")])


@pytest.mark.parametrize("name", origins())
def test_every_origin_says_what_it_is(name: str) -> None:
    unit = origins()[name]
    assert unit.TITLE
    assert not unit.recognises({"conv1.weight": torch.ones(1)})


def test_the_command_converts_and_tells_what_was_left_behind(tmp_path: Path) -> None:
    torch.save(original("vit")[0], tmp_path / "vit.pth")
    done = segship("tools", "convert-weights", tmp_path / "vit.pth", tmp_path / "ours.pth")
    assert done.returncode == 0, done.stderr
    assert "timm ViT" in done.stdout
    assert "head.weight" in done.stdout
    assert "layers.0.ln1.weight" in read_checkpoint(tmp_path / "ours.pth").state
    assert "no origin is called" in refused(
        segship("tools", "convert-weights", tmp_path / "vit.pth", tmp_path / "x.pth", "--origin", "vitt")
    )
