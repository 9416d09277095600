"""A package against the loop people write around the same ONNX file.

::

    python benchmarks/end_to_end.py PACKAGE [PACKAGE ...] --image street.png [--rounds 15] [--threads 2] [--json FILE]

From a decoded image to the mask at its own size, interleaved. The loop resizes with OpenCV, normalises with NumPy, runs
the same file in ONNX Runtime, resizes the logits with OpenCV and takes NumPy's argmax. *ratio* is loop / segship: above
1 is faster. *share* is what segship spends before and after the engine, as a share of the engine's own time.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from segship import Segmentor
from segship.vision.decode import read_image
from segship.vision.preprocess import prepare
from timing import interleave


def loop(session: onnxruntime.InferenceSession, segmentor: Segmentor, image: NDArray[np.uint8]) -> NDArray[Any]:
    """What an engineer writes around an ONNX file."""
    spec = segmentor.spec
    height, width = prepare(image, spec).tensor.shape[2:]
    mean, std = (np.array(values, np.float32) for values in (spec.normalization.mean, spec.normalization.std))
    resized = cv2.cvtColor(cv2.resize(image, (width, height)), cv2.COLOR_BGR2RGB)
    tensor = ((resized.astype(np.float32) - mean) / std).transpose(2, 0, 1)[None]
    logits = session.run(None, {session.get_inputs()[0].name: np.ascontiguousarray(tensor)})[0][0]
    rows, columns = image.shape[:2]
    scores = cv2.resize(np.ascontiguousarray(logits.transpose(1, 2, 0)), (columns, rows))
    return np.argmax(scores, axis=2).astype(np.uint8)


def measure(package: Path, image: NDArray[np.uint8], options: argparse.Namespace) -> dict[str, Any]:
    """One row of the table."""
    segmentor = Segmentor(package, threads=options.threads, channel_order="bgr")
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = options.threads
    session = onnxruntime.InferenceSession(str(package / next(iter(segmentor.manifest.files))), settings)
    feeds = {session.get_inputs()[0].name: prepare(image, segmentor.spec).tensor}
    candidates = {
        "segship": lambda: segmentor(image),
        "loop": lambda: loop(session, segmentor, image),
        "engine": lambda: session.run(None, feeds),
    }
    agree = float((segmentor(image) == loop(session, segmentor, image)).mean())
    times = interleave(candidates, rounds=options.rounds)
    own, theirs, engine = (times[name].median for name in ("segship", "loop", "engine"))
    return {
        "package": package.name,
        "input": "x".join(map(str, next(iter(feeds.values())).shape[2:])),
        "times": {name: vars(time) for name, time in times.items()},
        "text": {name: str(time) for name, time in times.items()},
        "ratio": theirs / own,
        "share": (own - engine) / engine,
        "labels_equal": agree,
    }


def main() -> None:
    """Measure each package and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("packages", nargs="+", type=Path)
    parser.add_argument("--image", required=True, type=Path)
    parser.add_argument("--size", help="resize the image to HxW first")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    cv2.setNumThreads(options.threads)
    image = read_image(options.image)
    if options.size:
        rows, columns = map(int, options.size.split("x"))
        image = np.asarray(cv2.resize(image, (columns, rows)), np.uint8)
    results = [measure(package, image, options) for package in options.packages]
    table = Table("package", "input", "segship ms", "loop ms", "engine ms", "ratio", "share", "labels equal")
    for row in results:
        text = row["text"]
        figures = f"{row['ratio']:.2f}", f"{row['share']:.1%}", f"{row['labels_equal']:.4%}"
        table.add_row(row["package"], row["input"], text["segship"], text["loop"], text["engine"], *figures)
    Console().print(table)
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
