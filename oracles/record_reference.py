"""Record what the real MMSegmentation computes, as a reference for the tests.

Run it in an environment of its own that has mmsegmentation 1.2.2 (``pip install mmengine mmcv-lite==2.1.0
mmsegmentation==1.2.2 ftfy regex``); nothing of Segship is imported but the weights' rule, ``tests/support/fill.py``::

    python oracles/record_reference.py CONFIG [CONFIG ...] [--sizes 128x256 145x211] [--to tests/references/models]
    python oracles/record_reference.py CONFIG --set model.backbone.depth=18 --name resnet-of-18-layers

CONFIG is a path inside ``mmseg/.mim/configs``. Each reference is a .json (keys, shapes, cases) and a .npz (a grid of
logits, and labels at every fourth pixel), a few kilobytes.
"""

from __future__ import annotations

import argparse
import ast
import itertools
import json
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from support import fill

SAMPLES = 12  # logits kept along each axis


def _psamask_forward(masks: torch.Tensor, output: torch.Tensor, *, psa_type: int, **sizes: int) -> None:
    """PSANet's compiled operator: each cell's mask, centred at it, laid on the map."""
    height, width, mask_height, mask_width = (sizes[key] for key in ("h_feature", "w_feature", "h_mask", "w_mask"))
    for row, column in itertools.product(range(height), range(width)):
        top, left = row - sizes["half_h_mask"], column - sizes["half_w_mask"]
        mask = masks[:, :, row, column].unflatten(1, (mask_height, mask_width))
        mask = mask[:, max(0, -top) : height - top, max(0, -left) : width - left]
        laid = masks.new_zeros(masks.shape[0], height, width)
        top, left = max(0, top), max(0, left)
        laid[:, top : top + mask.shape[1], left : left + mask.shape[2]] = mask
        if psa_type == 0:  # collect
            output[:, :, row, column] = laid.flatten(1)
        else:
            output[:, row * width + column] = laid


class _NoCompiledOps(types.ModuleType):
    """Stands in for mmcv's compiled operators, which mmcv-lite has not."""

    psamask_forward = staticmethod(_psamask_forward)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)

        def missing(*_: object, **__: object) -> None:
            raise RuntimeError(f"mmcv-lite has no compiled operator {name}")

        return missing


def import_mmseg() -> None:
    """Make the real networks known, with a stand-in for what is compiled."""
    sys.modules.setdefault("mmcv._ext", _NoCompiledOps("mmcv._ext"))
    from mmseg.utils import register_all_modules

    register_all_modules(init_default_scope=True)


def configs() -> Path:
    """Folder of MMSegmentation's config files."""
    import mmseg

    return Path(mmseg.__file__).parent / ".mim" / "configs"


def settings(config: str, changes: dict[str, Any] | None = None) -> Any:
    """The ``model`` of one of MMSegmentation's configs with ``changes``, without the weights it would fetch."""
    from mmengine import Config

    values = Config.fromfile(str(configs() / config))
    values.merge_from_dict(changes or {})
    model = values.model
    model.pop("pretrained", None)
    model.get("backbone", {}).pop("init_cfg", None)
    return model


def build(model: Any, damping: dict[str, float]) -> torch.nn.Module:
    """The real network with the reference weights, in eval mode."""
    from mmseg.registry import MODELS

    network: torch.nn.Module = MODELS.build(model).eval()
    return fill.fill_network(network, damping)


def logits_of(network: torch.nn.Module, image: torch.Tensor) -> torch.Tensor:
    """The real network's logits at the image's size; whatever it raises for a size that it refuses."""
    size = tuple(image.shape[2:])
    meta = {"ori_shape": size, "img_shape": size, "pad_shape": size, "padding_size": [0] * 4}
    torch.manual_seed(0)  # SegNeXt's head draws its bases anew for every image; ours are those of this seed
    with torch.inference_mode():
        logits: torch.Tensor = network.encode_decode(image, [meta])  # type: ignore[operator]
    return logits


def case(network: torch.nn.Module, size: tuple[int, int], arrays: dict[str, Any]) -> dict[str, Any]:
    """Run one size; keep a grid of the logits and of the labels in ``arrays``."""
    height, width = size
    try:
        logits = logits_of(network, torch.from_numpy(fill.image(height, width)))
    except (RuntimeError, ValueError, AssertionError) as error:
        return {"size": list(size), "error": f"{type(error).__name__}: {error}"}
    step = [max(1, logits.shape[2] // SAMPLES), max(1, logits.shape[3] // SAMPLES)]
    labels = logits[0].argmax(0).numpy()
    arrays[f"logits_{height}x{width}"] = logits[0, :, :: step[0], :: step[1]].numpy()
    arrays[f"labels_{height}x{width}"] = labels[::4, ::4].astype(np.uint8)
    return {
        "size": list(size),
        "shape": list(logits.shape),
        "step": step,
        "absmax": float(logits.abs().max()),
        "std": float(logits.std()),
        "classes_seen": len(np.unique(labels)),
    }


def changes_of(texts: list[str]) -> dict[str, Any]:
    """Overrides of a config: ``["model.backbone.depth=18"]`` -> ``{"model.backbone.depth": 18}``."""
    pairs = (text.partition("=") for text in texts)
    return {key: ast.literal_eval(value) for key, _, value in pairs}


def main() -> None:
    """Record every config that is named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("configs", nargs="+")
    parser.add_argument("--sizes", nargs="+", default=["128x256", "145x211"])
    parser.add_argument("--to", type=Path, default=Path(__file__).parents[1] / "tests" / "references" / "models")
    parser.add_argument("--damp", nargs="*", default=[], metavar="SUFFIX=FACTOR", help="bn3.weight=0.2")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="model.backbone.depth=18")
    parser.add_argument("--name", help="of the files, where a config is changed")
    options = parser.parse_args()
    changes = changes_of(options.set)
    damping = {suffix: float(factor) for suffix, factor in (text.split("=") for text in options.damp)}
    import_mmseg()
    for config in options.configs:
        network = build(settings(config, changes), damping)
        arrays: dict[str, Any] = {}
        sizes = [tuple(map(int, size.split("x"))) for size in options.sizes]
        cases = [case(network, (height, width), arrays) for height, width in sizes]
        state = network.state_dict()
        record = {
            "config": config,
            "changes": changes,
            "cases": cases,
            "damping": damping,
            "state": {
                key: [str(value.dtype).removeprefix("torch."), list(value.shape)] for key, value in state.items()
            },
        }
        stem = options.to / (options.name or Path(config).stem)
        stem.with_name(f"{stem.name}.json").write_text(json.dumps(record, separators=(",", ":")))
        np.savez_compressed(stem.with_name(f"{stem.name}.npz"), **arrays)
        print(f"{stem}: {len(state)} entries, {len(cases)} cases")


if __name__ == "__main__":
    main()
