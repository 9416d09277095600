"""Options that no config of MMSegmentation uses, against what the real parts compute with the same weights."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch

from segship.models.parts import build_part
from segship.models.registry import backbones, heads, necks
from support import fill
from support.parts import PARTS, PartCase, fingerprint, flat, sample
from support.references import REFERENCES

NOISE = 3e-5
REGISTRIES: dict[str, Any] = {"backbone": backbones, "neck": necks, "head": heads}
RECORDS = json.loads((REFERENCES / "parts.json").read_text())


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.name)
def test_keys_and_outputs_equal_mmsegmentations(part: PartCase) -> None:
    record = RECORDS[part.name]
    network = build_part(REGISTRIES[part.kind], {"type": part.type, **part.options}).eval()
    assert fingerprint(network) == record["state"]
    fill.fill_network(network)
    with np.load(REFERENCES / "parts.npz") as arrays:
        for i, (feed, expected) in enumerate(zip(part.feeds(), record["outputs"], strict=True)):
            with torch.inference_mode():
                outputs = flat(network(feed))
            assert [list(tensor.shape) for tensor in outputs] == [shape for shape, _ in expected]
            for j, (tensor, (_, magnitude)) in enumerate(zip(outputs, expected, strict=True)):
                assert np.abs(sample(tensor) - arrays[f"{part.name}/{i}/{j}"]).max() / magnitude < NOISE


def test_every_record_has_its_part() -> None:
    assert set(RECORDS) == {part.name for part in PARTS}
