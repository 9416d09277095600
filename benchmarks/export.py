"""CPU time and peak memory of exporting one network, each in a process of its own.

::

    python benchmarks/export.py CONFIG [CONFIG ...] [--shape static-512x1024] [--json FILE]

From config and checkpoint to the verified package, weights random. *allowed* is 3 times the weights plus 600 MB;
*build* is the time to build the network without weights.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track
from rich.table import Table


def measure(config: str, shape: str) -> dict[str, Any]:
    """Export in this process, which should be a fresh one."""
    import torch

    from segship import export, load_network

    with tempfile.TemporaryDirectory() as folder:
        begin = time.process_time()
        network = load_network(config)
        build = time.process_time() - begin
        weights = sum(value.nbytes for value in network.state_dict().values())
        checkpoint = Path(folder) / "weights.pth"
        torch.save({"state_dict": network.state_dict()}, checkpoint)
        del network
        begin = time.process_time()
        package = export(config, checkpoint, Path(folder) / "package", target=f"onnxruntime_{shape}")
        seconds = time.process_time() - begin
        size = sum(file.size for file in package.manifest.files.values())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {
        "config": Path(config).stem,
        "build_seconds": build,
        "cpu_seconds": seconds,
        "start_seconds": time.process_time() - seconds - build,
        "weights": weights,
        "file": size,
        "peak": peak,
        "allowed": 3 * weights + 600e6,
    }


def main() -> None:
    """Measure every config and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("configs", nargs="+")
    parser.add_argument("--shape", default="dynamic")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options.configs[0], options.shape)))
        return
    rows = []
    for config in track(options.configs, "exporting", console=Console(stderr=True)):
        command = [sys.executable, __file__, config, "--shape", options.shape, "--one"]
        rows.append(
            json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])
        )
    table = Table("config", "build CPU s", "export CPU s", "weights MB", "peak MB", "allowed MB")
    for row in rows:
        sizes = (f"{row[name] / 1e6:.0f}" for name in ("weights", "peak", "allowed"))
        table.add_row(row["config"], f"{row['build_seconds']:.1f}", f"{row['cpu_seconds']:.1f}", *sizes)
    Console().print(table)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
