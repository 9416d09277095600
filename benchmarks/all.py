"""Every table, one after the other: ratios with their spread, and the processor they were measured on.

::

    python benchmarks/all.py [--package PACKAGE ...] [--images FOLDER] [--configs FOLDER] [--python PYTHON]
        [--network CONFIG CHECKPOINT] [--camvid ROOT] [--mmseg PYTHON] [--clip VIDEO]
        [--only throughput,start] [--quick] [--log FILE] [--page FILE.md]

Each is a process of its own; what one needs and was not given is told, and the others run. Without PACKAGE, the bundled
network is exported to ONNX Runtime and OpenVINO. *configs* is MMSegmentation's folder of configs, of which the networks
of the large tables are made; PYTHON is an interpreter (3.11) that has mmdeploy_runtime 1.3.1 and NumPy below 2. The
packages are of *network*; it is evaluated on CamVid, or the bundled one on its scenes, beside MMSegmentation's loop if
--mmseg names an interpreter that has it. --quick runs few rounds of small images: whether all works, not how fast.
--page writes what was printed as a page of Markdown, one section a script. The status is 1 where one failed.
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
from segship.vision.image_files import find_images

HERE = Path(__file__).parent
ROOT = HERE.parent
DEMO = ROOT / "src" / "segship" / "assets" / "demo"
NETWORK = [DEMO / "fast_scnn_scenes.py", DEMO / "fast_scnn_scenes.pth"]
UNET = "unet/unet-s5-d16_fcn_4xb4-160k_cityscapes-512x1024.py"
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
    network, scenes = options.network or NETWORK, ["--data", options.camvid or DEMO]
    scenes += [] if options.camvid else ["--layout", "folder", "--split", ""]
    scenes += ["--limit", "2"] if quick else []
    scenes += [] if options.mmseg is None else ["--mmseg", options.mmseg]
    no_scenes = "" if bool(options.network) == bool(options.camvid) else "--network and --camvid, both or neither"
    no_python = "" if options.python else "--python PYTHON, with mmdeploy_runtime"
    static = [options.configs / UNET, "--shape", "static-512x1024"] if configs else []
    onnx = [package for package in packages if any(package.glob("*.onnx"))]
    count = ["--count", "12"] if quick else []
    return [
        Run("upsample", ["upsample.py", *(["--repeats", "2"] if quick else [])]),
        Run("native", ["native.py", *rounds], "" if LIBRARY.is_file() else f"{LIBRARY}, which cmake makes of native/"),
        *(Run("start", ["cold_start.py", package, "--image", image, *rounds]) for package in packages),
        Run("loop", ["end_to_end.py", *onnx, "--image", image, *rounds], "" if onnx else "a package of ONNX Runtime"),
        Run("throughput", ["throughput.py", *packages, "--images", options.images, *count, *rounds]),
        Run("evaluate", ["evaluate.py", *network, *named(packages), *scenes, *rounds], no_scenes),
        Run("export", ["export.py", NETWORK[0]]),
        Run("export static", ["export.py", *static], no_configs),
        Run("segmenter", ["segmenter.py", "tiny", *(["--no-fps"] if quick else [])]),
        Run("video", ["video.py", packages[0], options.clip], "" if options.clip else "--clip VIDEO"),
        Run("tuned", ["tuned.py", packages[0], *network, image, "--python", options.python, *rounds], no_python),
        Run("serve", ["serve.py", packages[0], image, *rounds, *(["--requests", "8"] if quick else [])]),
        Run("outside", ["outside.py", *configs, *small, *rounds], no_configs),
        Run("embed", ["embed.py", *configs, *size, *rounds], no_configs),
        Run("engines", ["engines.py", *configs, *size, *rounds], no_configs),
        Run("transformers", ["transformers_int8.py", *configs], no_configs),
        Run(
            "mmdeploy",
            ["mmdeploy.py", *configs, *size, *rounds, "--python", options.python],
            no_configs or no_python,
        ),
    ]


def named(packages: Sequence[Path]) -> list[object]:
    """``--package`` before each."""
    return [word for package in packages for word in ("--package", package)]


@contextlib.contextmanager
def packages_of(given: Sequence[Path], network: Sequence[Path]) -> Iterator[Sequence[Path]]:
    """The packages to measure; the network's where none is given."""
    if given:
        yield given
        return
    with tempfile.TemporaryDirectory() as folder:
        made = [Path(folder) / engine for engine in ("onnxruntime", "openvino")]
        for package in made:
            words = (*network, package, "--target", f"{package.name}_dynamic")
            command = [sys.executable, "-m", "segship", "export", *map(str, words)]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        yield made


def tell(text: str, log: Path | None) -> None:
    """Print, and keep."""
    print(text, flush=True)
    if log is not None:
        with log.open("a", encoding="utf-8") as file:
            file.write(f"{text}\n")


def do(run: Run, log: Path | None) -> tuple[bool, str]:
    """Run one script and tell what it printed; whether it worked, and what was told."""
    heading = f"{run.name}: {Path(str(run.arguments[0])).name}, load {os.getloadavg()[0]:.1f}"
    worked, told = (True, f"left out: it needs {run.missing}") if run.missing else _print_of(run)
    tell(f"\n== {heading}\n{told}", log)
    return worked, f"## {heading}\n\n```text\n{told}\n```\n"


def _print_of(run: Run) -> tuple[bool, str]:
    script, *words = map(str, run.arguments)
    command = [sys.executable, str(HERE / script), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | {"COLUMNS": "120"})
    lines = [line.rstrip() for line in done.stdout.strip().splitlines()]
    if done.returncode:
        lines.append(f"FAILED with status {done.returncode}: {done.stderr.strip()[-1000:]}")
    return not done.returncode, "\n".join(lines)


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
    parser.add_argument("--network", type=Path, nargs=2)
    parser.add_argument("--camvid", type=Path)
    parser.add_argument("--mmseg")
    parser.add_argument("--clip", type=Path)
    parser.add_argument("--page", type=Path)
    options = parser.parse_args()
    wanted = {name for name in options.only.split(",") if name}
    machine = f"{processors()} x {processor()}, Python {sys.version.split()[0]}"
    tell(machine, options.log)
    with packages_of(options.package, options.network or NETWORK) as packages:
        known = runs(options, packages)
        if strange := wanted - {run.name for run in known}:
            parser.error(f"--only {', '.join(sorted(strange))}: known are {', '.join(run.name for run in known)}")
        done = [do(run, options.log) for run in known if not wanted or run.name in wanted]
        here = f"{packages[0].parent}/"
    if options.page is not None:
        command = f"python benchmarks/all.py{f' --only {options.only}' if options.only else ''}"
        begin = f"# All benchmarks\n\nWhat `{command}` printed on {machine}.\n"
        page = "\n".join([begin, *(section.replace(here, "") for _, section in done)])
        options.page.write_text(page, encoding="utf-8")
    raise SystemExit(0 if all(worked for worked, _ in done) else 1)


if __name__ == "__main__":
    main()
