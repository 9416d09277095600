"""Small networks of lightly-train, and files as its training leaves them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from support.fill import fill

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_NORMALIZE = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
_CLASSES = {0: "road", 1: "wall", 2: "sky"}


def _arguments(name: str, side: int, **others: Any) -> dict[str, Any]:
    return {
        "model_name": name,
        "classes": _CLASSES,
        "class_ignore_index": None,
        "image_size": (side, side),
        "image_normalize": _NORMALIZE,
        "num_queries": 6,
        "num_joint_blocks": 1,
        **others,
    }


NETWORKS: dict[str, tuple[dict[str, Any], str]] = {
    "dinov2": (_arguments("dinov2/_vittest14-eomt", 56), "4:"),
    "dinov2_odd": (_arguments("dinov2/_vittest14-eomt", 60, num_joint_blocks=2, class_ignore_index=-100), "5:"),
    "dinov3": (_arguments("dinov3/_vittest16-eomt", 64), "0:"),
    "dinov3_ids": (
        _arguments("dinov3/_vittest16-eomt", 96, classes={3: "road", 7: "wall"}, image_size=(96, 128)),
        "1:",
    ),
    # Upscale blocks as older versions made them (one here), pixels of 0 to 1 as they are, and a class that is ignored.
    "dinov3_older": (
        _arguments(
            "dinov3/_vittest16-eomt",
            64,
            backbone_args={"patch_size": 8},
            class_ignore_index=255,
            fix_num_upscale_blocks=False,
            image_normalize={"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)},
        ),
        "2:",
    ),
}
"""Arguments of each network, and what its weights' keys begin with where they are drawn."""


def weights(
    shapes: Mapping[str, Any], prefix: str, kept: Mapping[str, torch.Tensor] | None = None
) -> dict[str, torch.Tensor]:
    """The weights of a network by name and shape; those of ``kept`` that are no weights stay as they are."""
    drawn = {key: torch.from_numpy(fill(prefix + key, tuple(shape))) for key, shape in shapes.items()}
    for key, value in drawn.items():
        if key.endswith("periods"):  # of the rotary positions: no weights
            exponents = torch.arange(len(value), dtype=torch.float32) / len(value)
            drawn[key] = 100.0**exponents
        elif key.endswith("bias_mask"):
            drawn[key] = torch.ones_like(value)
            drawn[key][len(value) // 3 : 2 * len(value) // 3] = 0
        elif key.endswith(("gamma", "class_head.weight")):
            drawn[key] = value * 4 if key.endswith("weight") else torch.ones_like(value)
    assert kept is None or drawn.keys() == kept.keys()
    return drawn


def image(side: int) -> torch.Tensor:
    """A square input (1, 3, side, side)."""
    return torch.from_numpy(fill("image", (1, 3, side, side)))


def write(path: Path, entry: Mapping[str, Any], *, training: bool = False) -> Path:
    """The file that training exports, or its checkpoint."""
    state = weights(entry["shapes"], entry["prefix"])
    arguments = dict(entry["model_init_args"])
    arguments["classes"] = {int(key): value for key, value in arguments["classes"].items()}
    values = {
        "model_class_path": entry["model_class_path"],
        "model_init_args": arguments,
        "train_model": {f"model.{key}": value for key, value in state.items()}
        | {"criterion.empty_weight": torch.ones(len(arguments["classes"]) + 1)},
        "license_info": "",
    }
    if training:
        values |= {"step": 3, "optimizer": {"state": {}, "param_groups": [{"lr": 0.1}]}, "scheduler": {"last_epoch": 3}}
    torch.save(values, path)
    return path
