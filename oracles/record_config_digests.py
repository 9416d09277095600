"""Record what mmengine makes of every config in mmsegmentation's wheel and of our own cases: a digest each.

Run once, in an environment that has mmengine and mmsegmentation; the project itself needs neither::

    python oracles/record_config_digests.py tests/references/mmseg_config_digests.json
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any

CASES = Path(__file__).parents[1] / "tests" / "reading" / "configs" / "config_cases.toml"


def canonical(value: Any) -> Any:
    """``value`` as JSON in which lists and tuples, integers and floats, and all types of key differ."""
    if isinstance(value, dict):
        return {"dict": sorted([repr(key), canonical(item)] for key, item in value.items())}
    if isinstance(value, list):
        return [canonical(item) for item in value]
    if isinstance(value, tuple):
        return {"tuple": [canonical(item) for item in value]}
    if value is None or isinstance(value, (str, int, float)):
        return value
    raise TypeError(f"{type(value).__name__} in a config")


def config_digest(values: dict[str, Any]) -> str:
    """SHA-256 of the canonical form of a config."""
    return hashlib.sha256(json.dumps(canonical(values), sort_keys=True).encode()).hexdigest()


def write_case(case: dict[str, str], folder: Path) -> Path:
    """Write the files of one case of ``config_cases.toml`` into ``folder``; the path of the one to read."""
    for name, text in case.items():
        if name != "read":
            (folder / name).write_text(text, encoding="utf-8")
    return folder / case["read"]


def main(target: Path) -> None:
    """Write the digests to ``target``."""
    from mmengine.config import Config

    def record(path: Path) -> str:
        return config_digest(Config.fromfile(path, import_custom_modules=False).to_dict())

    root = Path(str(importlib.metadata.distribution("mmsegmentation").locate_file("mmseg/.mim/configs")))
    configs = {path.relative_to(root).as_posix(): record(path) for path in sorted(root.rglob("*.py"))}
    cases = {}
    for name, case in tomllib.loads(CASES.read_text(encoding="utf-8")).items():
        with tempfile.TemporaryDirectory() as folder:
            cases[name] = record(write_case(case, Path(folder)))
    versions = {name: importlib.metadata.version(name) for name in ("mmengine", "mmsegmentation")}
    result = {"versions": versions, "cases": cases, "configs": configs}
    target.write_text(json.dumps(result, indent=0) + "\n", encoding="utf-8")
    print(f"{len(configs)} configs and {len(cases)} cases -> {target}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
