"""Record what MMSegmentation knows of each data set: number of classes, a digest of names and colours, suffixes.

Run it in the environment that oracles/record_reference.py describes::

    python oracles/record_datasets.py tests/references/mmseg_datasets.json
"""

from __future__ import annotations

import hashlib
import inspect
import json
import sys
import types
from pathlib import Path
from typing import Any


class _NoCompiledOps(types.ModuleType):
    """Stands in for mmcv's compiled operators, which mmcv-lite has not."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *_, **__: None


def describe(dataset: type) -> dict[str, Any]:
    """One data set; names without stray spaces."""
    defaults: dict[str, Any] = {"img_suffix": ".jpg", "seg_map_suffix": ".png", "reduce_zero_label": False}
    for base in reversed(dataset.__mro__):
        if "__init__" in vars(base):
            parameters = inspect.signature(base.__init__).parameters
            defaults |= {key: parameters[key].default for key in defaults if key in parameters}
            if base.__name__ == "REFUGEDataset":
                defaults |= {"img_suffix": ".png", "seg_map_suffix": ".png"}  # set in its body
    meta = dataset.METAINFO
    text = json.dumps([[name.strip() for name in meta["classes"]], meta["palette"]])
    return {"classes": len(meta["classes"]), "sha256": hashlib.sha256(text.encode()).hexdigest(), **defaults}


def main(target: Path) -> None:
    """Record all data sets with classes and colours into ``target``."""
    sys.modules["mmcv._ext"] = _NoCompiledOps("mmcv._ext")
    from mmseg import datasets

    found = {}
    for name, value in sorted(vars(datasets).items()):
        meta = getattr(value, "METAINFO", {}) if isinstance(value, type) else {}
        if "classes" in meta and "palette" in meta:
            found[name] = describe(value)
    target.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(f"{len(found)} data sets -> {target}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
