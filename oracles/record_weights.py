"""Record what timm's and transformers' networks compute, for the tests of the weight conversion.

::

    python oracles/record_weights.py [NAME ...]     # needs timm and transformers

Each reference is a small network of the original's own code whose weights are made from its key names; kept are the
keys with their shapes and the last feature map, in tests/references/weights/NAME.json and NAME.npz.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tests")]

from support import fill

if TYPE_CHECKING:
    from collections.abc import Callable

FOLDER = ROOT / "tests" / "references" / "weights"
NOT_WEIGHTS = re.compile(r".*(relative_position_index|num_batches_tracked|attn_mask)")


def _vit() -> tuple[torch.nn.Module, int, Callable[[Any, torch.Tensor], torch.Tensor]]:
    from timm.models.vision_transformer import VisionTransformer

    network = VisionTransformer(img_size=64, patch_size=16, embed_dim=24, depth=3, num_heads=2, num_classes=7)
    return network, 64, lambda net, x: _map(net.forward_features(x)[:, 1:])


def _deit_distilled() -> tuple[torch.nn.Module, int, Callable[[Any, torch.Tensor], torch.Tensor]]:
    from timm.models.deit import VisionTransformerDistilled

    network = VisionTransformerDistilled(img_size=64, patch_size=16, embed_dim=24, depth=2, num_heads=2, num_classes=7)
    return network, 64, lambda net, x: _map(net.forward_features(x)[:, 2:])


def _beit() -> tuple[torch.nn.Module, int, Callable[[Any, torch.Tensor], torch.Tensor]]:
    from timm.models.beit import Beit

    network = Beit(
        img_size=64, patch_size=16, embed_dim=24, depth=2, num_heads=2, num_classes=7, use_abs_pos_emb=False,
        use_rel_pos_bias=True, init_values=0.1,
    )  # fmt: skip
    return network, 64, lambda net, x: _map(net.forward_features(x)[:, 1:])


def _swin() -> tuple[torch.nn.Module, int, Callable[[Any, torch.Tensor], torch.Tensor]]:
    from timm.models.swin_transformer import SwinTransformer

    network = SwinTransformer(
        img_size=112, patch_size=4, embed_dim=12, depths=(2, 2), num_heads=(2, 4), window_size=7, num_classes=7
    )
    return network, 112, lambda net, x: net.forward_features(x).permute(0, 3, 1, 2)


def _twins_pcpvt() -> tuple[torch.nn.Module, int, Callable[[Any, torch.Tensor], torch.Tensor]]:
    from timm.models.twins import Twins

    network = Twins(
        img_size=64, patch_size=4, embed_dims=(8, 16), num_heads=(1, 2), mlp_ratios=(4, 4), depths=(2, 2),
        sr_ratios=(4, 2), wss=None, num_classes=7,
    )  # fmt: skip
    network.norm = torch.nn.Identity()  # MMSegmentation's normalises after every stage, or never
    return network, 64, lambda net, x: _map(net.forward_features(x))


def _twins_svt() -> tuple[torch.nn.Module, int, Callable[[Any, torch.Tensor], torch.Tensor]]:
    from timm.models.twins import Twins

    network = Twins(
        img_size=56, patch_size=4, embed_dims=(8, 16), num_heads=(1, 2), mlp_ratios=(4, 4), depths=(2, 2),
        sr_ratios=(4, 2), wss=(7, 7), num_classes=7,
    )  # fmt: skip
    network.norm = torch.nn.Identity()
    return network, 56, lambda net, x: _map(net.forward_features(x))


def _convnext() -> tuple[torch.nn.Module, int, Callable[[Any, torch.Tensor], torch.Tensor]]:
    from timm.models.convnext import ConvNeXt

    network = ConvNeXt(depths=(1, 1, 2, 1), dims=(8, 12, 16, 20), num_classes=7, ls_init_value=0.1)
    return network, 64, lambda net, x: net.head.norm(net.forward_features(x))


def _convnext_v2() -> tuple[torch.nn.Module, int, Callable[[Any, torch.Tensor], torch.Tensor]]:
    from timm.models.convnext import ConvNeXt

    network = ConvNeXt(
        depths=(1, 1, 1, 1), dims=(8, 12, 16, 20), num_classes=7, use_grn=True, ls_init_value=None, conv_mlp=True
    )
    return network, 64, lambda net, x: net.head.norm(net.forward_features(x))


def _mobilenet_v2() -> tuple[torch.nn.Module, int, Callable[[Any, torch.Tensor], torch.Tensor]]:
    import timm

    network = timm.create_model("mobilenetv2_050", num_classes=7)
    return network, 64, lambda net, x: net.blocks(net.bn1(net.conv_stem(x)))


def _mit() -> tuple[torch.nn.Module, int, Callable[[Any, torch.Tensor], torch.Tensor]]:
    """Transformers' network under the keys of SegFormer's own repository."""
    from transformers import SegformerConfig, SegformerModel

    config = SegformerConfig(
        depths=[1, 1, 2, 1], hidden_sizes=[8, 16, 24, 32], num_attention_heads=[1, 2, 3, 4], sr_ratios=[8, 4, 2, 1]
    )
    network = SegformerModel(config)
    return network, 64, lambda net, x: net(x).last_hidden_state


MIT_NAMES = (
    (r"stages\.(\d)\.patch_embeddings\.proj", r"patch_embed#\1.proj"),
    (r"stages\.(\d)\.patch_embeddings\.layer_norm", r"patch_embed#\1.norm"),
    (r"stages\.(\d)\.layer_norm", r"norm#\1"),
    (r"stages\.(\d)\.blocks\.(\d+)", r"block#\1.\2"),
    (r"layernorm_before", "norm1"),
    (r"layernorm_after", "norm2"),
    (r"attention\.sequence_reduction\.sequence_reduction", "attn.sr"),
    (r"attention\.sequence_reduction\.layer_norm", "attn.norm"),
    (r"attention\.q_proj", "attn.q"),
    (r"attention\.o_proj", "attn.proj"),
)


def original_mit(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Transformers' keys -> those of SegFormer's repository, whose keys and values are one matrix."""
    renamed = {}
    for key, value in state.items():
        name = key
        for pattern, new in MIT_NAMES:
            name = re.sub(pattern, new, name)
        name = re.sub(r"#(\d)", lambda found: str(int(found[1]) + 1), name)
        if ".v_proj." in name:
            continue
        if ".k_proj." in name:
            value = torch.cat([value, state[key.replace(".k_proj.", ".v_proj.")]])  # noqa: PLW2901
            name = name.replace("attention.k_proj", "attn.kv")
        renamed[name] = value
    return renamed


MAKERS = {
    "vit": _vit, "deit_distilled": _deit_distilled, "beit": _beit, "swin": _swin, "twins_pcpvt": _twins_pcpvt,
    "twins_svt": _twins_svt, "convnext": _convnext, "convnext_v2": _convnext_v2, "mobilenet_v2": _mobilenet_v2,
    "mit": _mit,
}  # fmt: skip


def _map(tokens: torch.Tensor) -> torch.Tensor:
    side = round(tokens.shape[1] ** 0.5)
    return tokens.transpose(1, 2).unflatten(2, (side, side))


def record(name: str) -> None:
    """Write the reference called ``name``."""
    network, size, run = MAKERS[name]()
    network.eval()
    state = {key: value for key, value in network.state_dict().items() if not NOT_WEIGHTS.fullmatch(key)}
    with torch.no_grad():
        for key, value in state.items():
            value.copy_(torch.from_numpy(fill.fill(key, tuple(value.shape))))
        features = run(network, torch.from_numpy(fill.image(size, size)))
    keys = {key: list(value.shape) for key, value in state.items()}
    FOLDER.mkdir(parents=True, exist_ok=True)
    record = {"size": size, "keys": keys}
    (FOLDER / f"{name}.json").write_text(json.dumps(record, indent=0) + "\n")
    np.savez_compressed(FOLDER / f"{name}.npz", features=features.numpy())
    print(name, len(keys), tuple(features.shape), float(features.abs().max()))


if __name__ == "__main__":
    for wanted in sys.argv[1:] or MAKERS:
        record(wanted)
