"""The first mask of a fresh process against the least that any program with this engine does.

::

    python benchmarks/cold_start.py PACKAGE --image street.png [--rounds 10]

``segship predict`` of one image (start, open, decode, mask, write) against importing onnxruntime and cv2 and opening
the session; interleaved, each in a new process. *ratio* is segship / baseline.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from timing import interleave

BASELINE = "import onnxruntime, cv2, sys; onnxruntime.InferenceSession(sys.argv[1])"


def main() -> None:
    """Time both and print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("package", type=Path)
    parser.add_argument("--image", required=True, type=Path)
    parser.add_argument("--rounds", type=int, default=10)
    options = parser.parse_args()
    model = next(options.package.glob("*.onnx"))
    with tempfile.TemporaryDirectory() as folder:
        predict = [sys.executable, "-m", "segship", "predict", options.package, options.image, "--to", folder]
        baseline = [sys.executable, "-c", BASELINE, model]
        times = interleave(
            {
                "segship": lambda: subprocess.run(predict, check=True, capture_output=True),
                "baseline": lambda: subprocess.run(baseline, check=True, capture_output=True),
            },
            rounds=options.rounds,
            warm_up=1,
        )
    for name, time in times.items():
        print(f"{name:10} {time} ms")
    print(f"ratio      {times['segship'].median / times['baseline'].median:.2f}")


if __name__ == "__main__":
    main()
