"""Record what the real MMSegmentation computes, as a reference for the tests.

Run it in an environment of its own that has mmsegmentation 1.2.2 (``pip install mmengine mmcv-lite==2.1.0
mmsegmentation==1.2.2 ftfy regex``); nothing of Segship is imported but the weights' rule, ``tests/support/fill.py``::

    python scripts/record_reference.py CONFIG [CONFIG ...] [--sizes 128x256 145x211] [--to tests/references/models]

CONFIG is a path inside ``mmseg/.mim/configs``. Each reference is a .json (keys, shapes, cases) and a .npz (a grid of
logits, and labels at every fourth pixel), a few kilobytes.
"""

from __future__ import annotations

import argparse
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
    """PSANet's compiled operator, cell by cell: each one's mask, centred at it, laid on the map."""
    height, width, mask_height, mask_width = (sizes[key] for key in ("h_feature", "w_feature", "h_mask", "w_mask"))
    for row, column, i, j in itertools.product(*map(range, (height, width, mask_height, mask_width))):
        to_row, to_column = row + i - sizes["half_h_mask"], column + j - sizes["half_w_mask"]
        if 0 <= to_row < height and 0 <= to_column < width:
            value = masks[:, i * mask_width + j, row, column]
            if psa_type == 0:  # collect
                output[:, to_row * width + to_column, row, column] = value
            else:
                output[:, row * width + column, to_row, to_column] = value


class _NoCompiledOps(types.ModuleType):
    """Stands in for mmcv's compiled operators, which mmcv-lite has not."""

    psamask_forward = staticmethod(_psamask_forward)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)

        def missing(*_: object, **__: object) -> None:
            raise RuntimeError(f"mmcv-lite has no compiled operator {name}")

        return missing


def build(config: str, damping: dict[str, float]) -> torch.nn.Module:
    """The real network with the reference weights, in eval mode."""
    sys.modules["mmcv._ext"] = _NoCompiledOps("mmcv._ext")
    import mmseg  # noqa: PLC0415
    from mmengine import Config  # noqa: PLC0415
    from mmseg.registry import MODELS  # noqa: PLC0415
    from mmseg.utils import register_all_modules  # noqa: PLC0415

    register_all_modules(init_default_scope=True)
    settings = Config.fromfile(str(Path(mmseg.__file__).parent / ".mim" / "configs" / config))
    model = settings.model
    model.pop("pretrained", None)
    model.backbone.pop("init_cfg", None)
    network: torch.nn.Module = MODELS.build(model).eval()
    return fill.fill_network(network, damping)


def case(network: torch.nn.Module, size: tuple[int, int], arrays: dict[str, Any]) -> dict[str, Any]:
    """Run one size; keep a grid of the logits and of the labels in ``arrays``."""
    height, width = size
    meta = {"ori_shape": size, "img_shape": size, "pad_shape": size, "padding_size": [0] * 4}
    try:
        with torch.inference_mode():
            logits = network.encode_decode(torch.from_numpy(fill.image(height, width)), [meta])  # type: ignore[operator]
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


def main() -> None:
    """Record every config that is named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("configs", nargs="+")
    parser.add_argument("--sizes", nargs="+", default=["128x256", "145x211"])
    parser.add_argument("--to", type=Path, default=Path(__file__).parents[1] / "tests" / "references" / "models")
    parser.add_argument("--damp", nargs="*", default=[], metavar="SUFFIX=FACTOR", help="bn3.weight=0.2")
    options = parser.parse_args()
    damping = {suffix: float(factor) for suffix, factor in (text.split("=") for text in options.damp)}
    for config in options.configs:
        network = build(config, damping)
        arrays: dict[str, Any] = {}
        sizes = [tuple(map(int, size.split("x"))) for size in options.sizes]
        cases = [case(network, (height, width), arrays) for height, width in sizes]
        state = network.state_dict()
        record = {
            "config": config,
            "cases": cases,
            "damping": damping,
            "state": {
                key: [str(value.dtype).removeprefix("torch."), list(value.shape)] for key, value in state.items()
            },
        }
        stem = options.to / Path(config).stem
        stem.with_suffix(".json").write_text(json.dumps(record, separators=(",", ":")))
        np.savez_compressed(stem.with_suffix(".npz"), **arrays)
        print(f"{stem}: {len(state)} entries, {len(cases)} cases")


if __name__ == "__main__":
    main()
