"""Every table, one after the other: ratios with their spread, and the processor they were measured on.

::

    python benchmarks/all.py [--package PACKAGE ...] [--images FOLDER] [--configs FOLDER] [--python PYTHON]
        [--only throughput,start] [--quick] [--log FILE]

Each is a process of its own; what one needs and was not given is told, and the others run. Without PACKAGE, the bundled
network is exported to ONNX Runtime and OpenVINO. *configs* is MMSegmentation's folder of configs, of which the networks
of the large tables are made; PYTHON is an interpreter (3.11) that has mmdeploy_runtime 1.3.1 and NumPy below 2. --quick
runs few rounds of small images: whether all works, not how fast. The status is 1 where one failed.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from segship.core.processor import processor, processors
from segship.datasets.samples import find_images

HERE = Path(__file__).parent
ROOT = HERE.parent
DEMO = ROOT / "src" / "segship" / "assets" / "demo"
LIBRARY = ROOT / "build" / "native" / "libsegship.so"


@dataclass(frozen=True)
class Run:
    """One script.

    Attributes:
        name: What ``--only`` calls it.
        arguments: Of Python: the script, and what it is told.
        missing: What it needs and was not given, in words.
    """

    name: str
    arguments: Sequence[object]
    missing: str = ""


def runs(options: argparse.Namespace, packages: Sequence[Path]) -> list[Run]:
    """What there is to run, the quick ones first."""
    quick = options.quick
    rounds = ["--rounds", "2"] if quick else []
    image = find_images([options.images])[0]
    size = ["--size", "128x256"] if quick else ["--size", "512x1024", "1024x2048"]
    small = ["--size", "128x256"] if quick else []
    configs = [] if options.configs is None else ["--configs", options.configs]
    no_configs = "" if configs else "--configs FOLDER, MMSegmentation's configs"
    onnx = [package for package in packages if any(package.glob("*.onnx"))]
    count = ["--count", "12"] if quick else []
    return [
        Run("upsample", ["upsample.py", *(["--repeats", "2"] if quick else [])]),
        Run("native", ["native.py", *rounds], "" if LIBRARY.is_file() else f"{LIBRARY}, which cmake makes of native/"),
        *(Run("start", ["cold_start.py", package, "--image", image, *rounds]) for package in packages),
        Run("loop", ["end_to_end.py", *onnx, "--image", image, *rounds], "" if onnx else "a package of ONNX Runtime"),
        Run("throughput", ["throughput.py", *packages, "--images", options.images, *count, *rounds]),
        Run("serve", ["serve.py", packages[0], image, *rounds, *(["--requests", "8"] if quick else [])]),
        Run("outside", ["outside.py", *configs, *small, *rounds], no_configs),
        Run("embed", ["embed.py", *configs, *size, *rounds], no_configs),
        Run("engines", ["engines.py", *configs, *size, *rounds], no_configs),
        Run("transformers", ["transformers_int8.py", *configs], no_configs),
        Run(
            "mmdeploy",
            ["mmdeploy.py", *configs, *size, *rounds, "--python", options.python],
            no_configs or ("" if options.python else "--python PYTHON, with mmdeploy_runtime"),
        ),
    ]


@contextlib.contextmanager
def packages_of(given: Sequence[Path]) -> Iterator[Sequence[Path]]:
    """The packages to measure; the bundled network's where none is given."""
    if given:
        yield given
        return
    with tempfile.TemporaryDirectory() as folder:
        made = [Path(folder) / engine for engine in ("onnxruntime", "openvino")]
        for package in made:
            target = ("--target", f"{package.name}_dynamic")
            command = [
                sys.executable,
                "-m",
                "segship",
                "export",
                DEMO / "fast_scnn_scenes.py",
                DEMO / "fast_scnn_scenes.pth",
                package,
            ]
            subprocess.run([*map(str, command), *target], check=True, stdout=subprocess.DEVNULL)
        yield made


def tell(text: str, log: Path | None) -> None:
    """Print, and keep."""
    print(text, flush=True)
    if log is not None:
        with log.open("a", encoding="utf-8") as file:
            file.write(f"{text}\n")


def do(run: Run, log: Path | None) -> bool:
    """Run one script and tell what it printed; whether it worked."""
    tell(f"\n== {run.name}: {Path(str(run.arguments[0])).name}, load {os.getloadavg()[0]:.1f}", log)
    if run.missing:
        tell(f"left out: it needs {run.missing}", log)
        return True
    script, *told = map(str, run.arguments)
    command = [sys.executable, str(HERE / script), *told]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | {"COLUMNS": "160"})
    tell(done.stdout.rstrip(), log)
    if done.returncode:
        tell(f"FAILED with status {done.returncode}: {done.stderr.strip()[-1000:]}", log)
    return not done.returncode


def main() -> None:
    """Run all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--package", type=Path, action="append", default=[])
    parser.add_argument("--images", type=Path, default=DEMO / "images")
    parser.add_argument("--configs", type=Path)
    parser.add_argument("--python")
    parser.add_argument("--only", default="")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--log", type=Path)
    options = parser.parse_args()
    wanted = {name for name in options.only.split(",") if name}
    tell(f"{processors()} x {processor()}, Python {sys.version.split()[0]}", options.log)
    with packages_of(options.package) as packages:
        known = runs(options, packages)
        if strange := wanted - {run.name for run in known}:
            parser.error(f"--only {', '.join(sorted(strange))}: known are {', '.join(run.name for run in known)}")
        worked = [do(run, options.log) for run in known if not wanted or run.name in wanted]
    raise SystemExit(0 if all(worked) else 1)


if __name__ == "__main__":
    main()
