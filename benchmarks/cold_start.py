"""The first mask of a fresh process against the least that any program with this engine does.

::

    python benchmarks/cold_start.py PACKAGE --image street.png [--rounds 12] [--against OTHER_CHECKOUT/src]

``segship predict`` of one image (start, open, decode, mask, write), and the same in Python without the files, against
importing the engine and cv2 and opening the session; interleaved, each in a new process. For OpenVINO the bare program
keeps compiled models, too, and what is timed is the second start. Processor time, so that other work on the machine
counts little; *ratio* is to the bare program.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

from timing import interleave

BARE = {
    ".onnx": "import onnxruntime, cv2, sys; onnxruntime.InferenceSession(sys.argv[1])",
    ".xml": (
        "import openvino, cv2, sys; options = {'CACHE_DIR': sys.argv[2], 'INFERENCE_PRECISION_HINT': 'f32'}; "
        "openvino.Core().compile_model(sys.argv[1], 'CPU', options)"
    ),
}
PYTHON = "import segship, sys; segship.Segmentor(sys.argv[1])(sys.argv[2])"


def children() -> float:
    """Seconds of processor time of all processes that have ended."""
    times = os.times()
    return times.children_user + times.children_system


def run(*command: object, bytecode: str, source: Path | None = None) -> None:
    """Run Python once, from a folder that is not the repository's, with its modules compiled as pip installs them."""
    path = {} if source is None else {"PYTHONPATH": str(source.resolve())}
    path |= {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": bytecode}
    subprocess.run(
        [sys.executable, *map(str, command)], check=True, capture_output=True, cwd=tempfile.gettempdir(),
        env=os.environ | path,
    )  # fmt: skip


def main() -> None:
    """Time all and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("package", type=Path)
    parser.add_argument("--image", required=True, type=Path)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--against", type=Path, help="The folder src of another checkout.")
    options = parser.parse_args()
    package, image = options.package.resolve(), options.image.resolve()
    model = next(path for path in sorted(package.iterdir()) if path.suffix in BARE)
    with tempfile.TemporaryDirectory() as folder:
        python = partial(run, bytecode=f"{folder}/bytecode")
        predict = ("-m", "segship", "predict", package, image, "--to", folder)
        candidates = {
            "the engine alone": lambda: python("-c", BARE[model.suffix], model, f"{folder}/compiled"),
            "segship predict": lambda: python(*predict),
            "segship.Segmentor": lambda: python("-c", PYTHON, package, image),
        }
        if options.against is not None:
            candidates[str(options.against)] = lambda: python(*predict, source=options.against)
        times = interleave(candidates, rounds=options.rounds, warm_up=1, clock=children)
    bare = times["the engine alone"].median
    for name, time in times.items():
        print(f"{name:20} {time} ms, ratio {time.median / bare:.2f}")
    print(f"load {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
