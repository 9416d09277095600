"""Stand-ins for vendors' tools: programs in ``tests/kits/standins`` that check documented command lines strictly."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import segship

__all__ = ["PATH", "PROGRAMS", "PYTHON", "run_script", "seal_outputs", "target"]

PROGRAMS = Path(__file__).parents[1] / "kits" / "standins"
PYTHON = PROGRAMS / "python"
PATH = os.pathsep.join([str(PROGRAMS), str(Path(sys.executable).parent), os.environ["PATH"]])


def target(text: str, **options: object) -> segship.Target:
    """A target with options of its vendor."""
    return segship.Target.parse(text).model_copy(update={"options": options})


def run_script(script: Path, **does: str) -> subprocess.CompletedProcess[str]:
    """Run a script of a kit where the stand-ins are the tools."""
    own = {"PYTHONPATH": str(PYTHON), "OMP_NUM_THREADS": "1", "PATH": PATH}
    command, environment = ["bash", str(script)], dict(os.environ) | own | does
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False, cwd="/")


def seal_outputs(kit: Path) -> None:
    """Write the digests as run.sh does, of outputs as they are now."""
    files = [path for folder in ("engines", "outputs") for path in sorted((kit / folder).rglob("*")) if path.is_file()]
    lines = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(kit)}\n"
        for path in (*files, kit / "kit.json")
        if path.name not in {"SHA256SUMS", ".kit"}
    ]
    (kit / "outputs" / "SHA256SUMS").write_text("".join(lines))
