"""The table of docs/tables/paddleseg.md: five of Paddle's networks at full size, converted, and compared with Paddle.

::

    segship doctor --setup paddle
    python docs/tables/check_paddleseg.py [NAME ...] [--width 1]

Weights are random; each network is compared on a bundled scene at four sizes. Results are merged into
docs/tables/paddleseg.json and written to docs/tables/paddleseg.md. Exit status 1: a package does not pass its gate.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import cv2
import onnx

from segship import SegshipError, export
from segship.core.errors import BackendError
from segship.deploy.verify import verify
from segship.toolchains.paddle import TOOLCHAIN
from segship.verification.inputs import find_scenes

ROOT = Path(__file__).parents[2]
BUILDER = ROOT / "tests" / "support" / "paddle_networks.py"
RESULTS, PAGE = (Path(__file__).parent / name for name in ("paddleseg.json", "paddleseg.md"))
BEGIN, END = "<!-- networks: begin -->", "<!-- networks: end -->"

NETWORKS = {
    "bisenetv2": "BiSeNetV2",
    "danet": "DANet, ResNet-50, stride 8",
    "deeplabv3": "DeepLabV3, ResNet-50, stride 8",
    "deeplabv3p": "DeepLabV3+, ResNet-50, stride 8",
    "fcn-hrnetw18": "FCN, HRNet-W18",
}
SIZES = ((128, 256), (225, 321), (256, 512), (512, 1024))


def check(name: str, width: float, folder: Path) -> dict[str, Any]:
    """Build, export and compare one network."""
    build = [str(TOOLCHAIN.require().python), "-I", str(BUILDER), name, str(folder / name), "--width", str(width)]
    built = subprocess.run(build, check=False, capture_output=True, text=True, env=TOOLCHAIN.process_variables())
    if built.returncode:
        raise BackendError(f"cannot be built: {built.stderr[-2000:]}")
    begin = time.monotonic()
    package = export(folder / name, None, folder / "package", cfg_options=["layout=cityscapes"])
    seconds = time.monotonic() - begin
    scene, files = find_scenes()[0], []
    for height, wide in SIZES:
        files.append(folder / f"{height}x{wide}.png")
        cv2.imwrite(str(files[-1]), cv2.resize(scene, (wide, height)))
    found = verify(folder / name, package, images=files)
    model = onnx.load(next(package.path.glob("*.onnx")))
    return {
        "parameters": (folder / name / "model.pdiparams").stat().st_size // 4,
        "nodes": len(model.graph.node),
        "opset": model.opset_import[0].version,
        "seconds": round(seconds, 1),
        "batch": max(check.input[0] for check in package.manifest.checks),
    } | found.as_dict()


def write_page(results: dict[str, dict[str, Any]]) -> None:
    """Put the table between its marks."""
    lines = [
        "| network | parameters | opset | nodes | input | max \\|Δ\\| of the logits | greatest | pixels that differ |",
        "|---|---:|---:|---:|---|---:|---:|---:|",
    ]
    for name, row in results.items():
        first = f"{NETWORKS[name]} | {row['parameters'] / 1e6:.1f} M | {row['opset']} | {row['nodes']}"
        for image in row["images"]:
            figures = f"{image['max_difference']:.1e} | {image['greatest']:.1f}"
            size = "x".join(map(str, image["input"][2:]))
            lines.append(f"| {first} | {size} | {figures} | {image['pixels_differ']} of {image['pixels']} |")
            first = " | | | "
    head, rest = PAGE.read_text(encoding="utf-8").split(BEGIN)
    PAGE.write_text(f"{head}{BEGIN}\n" + "\n".join(lines) + f"\n{END}{rest.split(END)[1]}", encoding="utf-8")


def main() -> int:
    """Check the networks that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help=", ".join(NETWORKS))
    parser.add_argument("--width", type=float, default=1.0, help="factor of all channels; the table is of 1")
    options = parser.parse_args()
    results: dict[str, dict[str, Any]] = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}
    failed = 0
    for name in options.names or NETWORKS:
        with tempfile.TemporaryDirectory() as folder:
            try:
                row = check(name, options.width, Path(folder))
            except SegshipError as error:
                print(f"{name}: {error}", file=sys.stderr)
                failed = 1
                continue
        print(name, json.dumps(row))
        failed |= not row["passed"]
        if options.width == 1:
            results = {key: row if key == name else results[key] for key in NETWORKS if key == name or key in results}
            RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
            write_page(results)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
