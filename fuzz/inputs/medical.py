"""Folders of nnU-Net and bundles of MONAI: their JSON files value by value, and checkpoints that run."""

from __future__ import annotations

import json
import pickle
from typing import TYPE_CHECKING, Any

from inputs.common import damaged, mutations, nested
from inputs.folders import REFERENCES, Payload, folder_case, json_bytes, numbers

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from inputs.common import Case

NNUNET, MONAI = REFERENCES / "nnunet" / "plain", REFERENCES / "monai" / "gaussian"
_MONAI_CONFIG = "configs/inference.json"


def _values(base: Path, name: str, count: int) -> Iterator[tuple[str, bytes]]:
    """A file with each of its values replaced, each number absurd, and the file damaged."""
    data = (base / name).read_bytes()
    tree: Any = json.loads(data)
    for title, changed in (*mutations(tree, count), *numbers(tree)):
        yield f"{name}: {title}", json_bytes(changed)
    for title, torn in damaged(data, 15):
        yield f"{name}: {title}", torn
    yield f"{name}: brackets", nested(100_000).encode()


def cases() -> Iterator[Case]:
    """All of them."""
    for base, names in ((NNUNET, ("plans.json", "dataset.json")), (MONAI, (_MONAI_CONFIG,))):
        for name in names:
            for title, data in _values(base, name, 250):
                yield folder_case(f"{base.parent.name} {title}", {name: data}, base)
    runs = pickle.dumps(Payload())
    yield folder_case("nnU-Net: a checkpoint that runs", {"fold_0/checkpoint_final.pth": runs}, NNUNET)
    yield folder_case("MONAI: a checkpoint that runs", {"models/model.pt": runs}, MONAI)
    tree = json.loads((MONAI / _MONAI_CONFIG).read_bytes())
    for text in ("$__import__('os').mkdir('EXECUTED')", "$@network_def", "%inference.json#network_def", "@network_def"):
        for key in tree:
            files = {_MONAI_CONFIG: json_bytes(tree | {key: text})}
            yield folder_case(f"MONAI: {key} is {text}", files, MONAI)
    runs_too = tree | {"imports": ["$import os"], "run": ["$os.mkdir('EXECUTED')"]}
    yield folder_case("MONAI: imports that run", {_MONAI_CONFIG: json_bytes(runs_too)}, MONAI)


def read(path: Path) -> None:
    """Read the network and its contract; random weights where there is no checkpoint."""
    from segship.sources import load

    load(path, random_weights=True)
