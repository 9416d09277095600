"""Deterministic weights and inputs: the numbers the recorded references were computed with.

``fill(key, shape)`` depends on the key's text and the shape alone, so that two implementations of one architecture with
the same state-dict keys get the same weights without sharing a file.
"""

from __future__ import annotations

import math
import zlib
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

EMBEDDINGS = (
    "pos_embed",
    "cls_token",
    "cls_emb",
    "relative_position_bias_table",
    "query",
    "level_embed",
    "mask_token",
    "absolute_pos_embed",
)
LARGE = 100_000


def fill(key: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
    # RandomState and not Generator: its stream is frozen, the references depend on it.
    random = np.random.RandomState(zlib.crc32(key.encode()))
    leaf = key.rsplit(".", 1)[-1]
    if len(shape) > 1 and leaf not in {"running_var", "running_mean", "bases"}:
        single = math.prod(shape) == 1
        if not single and not any(name in key for name in EMBEDDINGS):
            return (random.randn(*shape) * math.sqrt(2.0 / math.prod(shape[1:]))).astype(np.float32)
    return np.asarray(_special(key, leaf, shape, random), dtype=np.float32)


@lru_cache(maxsize=128)
def _shared(key: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """A backbone's larger weights, which many of the recorded networks have in common: drawing them takes longest."""
    return fill(key, shape)


def _special(key: str, leaf: str, shape: tuple[int, ...], random: np.random.RandomState) -> NDArray[np.float64] | float:
    rules = {
        "running_var": lambda: 0.5 + random.rand(*shape),
        "running_mean": lambda: 0.1 * random.randn(*shape),
    }
    if leaf in rules:
        return rules[leaf]()
    if math.prod(shape) == 1:
        return 0.5 + 0.5 * random.rand(*shape)
    if any(name in key for name in EMBEDDINGS):
        return 0.2 * random.randn(*shape)
    rules = {
        "bases": lambda: random.randn(*shape) / math.sqrt(shape[1]),  # EMANet: columns of about unit length
        "bias": lambda: 0.05 * random.randn(*shape),
        "scale": lambda: -random.rand(*shape),  # EncNet's codeword scales live in (-1, 0)
    }
    return rules[leaf]() if leaf in rules else 0.75 + 0.5 * random.rand(*shape)


def image(height: int, width: int, batch: int = 1) -> NDArray[np.float32]:
    """Normalised float32 (batch, 3, height, width): smooth shapes plus noise, about N(0, 1)."""
    random = np.random.RandomState(height * 100003 + width)
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    planes = np.zeros((batch, 3, height, width))
    for b in range(batch):
        for c in range(3):
            for _ in range(6):
                fy, fx = random.uniform(0.5, 8, 2)
                phase = random.uniform(0, 2 * math.pi)
                planes[b, c] += np.sin(2 * math.pi * (fy * y / height + fx * x / width) + phase)
            planes[b, c] += 0.5 * random.randn(height, width)
    return ((planes - planes.mean()) / planes.std()).astype(np.float32)


def fill_network(network: torch.nn.Module, damping: Mapping[str, float] | None = None) -> torch.nn.Module:
    """Give every floating entry of the state dict its number; integer entries stay as built.

    ``damping`` holds factors for the keys with a suffix: without it the logits of some very deep networks explode, and
    the last bit of the processor's arithmetic decides them.
    """
    with torch.no_grad():
        for key, value in network.state_dict().items():
            if value.is_floating_point():
                factor = next((factor for end, factor in (damping or {}).items() if key.endswith(end)), 1.0)
                draw = _shared if key.startswith("backbone.") and value.numel() > LARGE else fill
                value.copy_(factor * torch.from_numpy(draw(key, tuple(value.shape))))
    return network
