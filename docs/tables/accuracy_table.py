"""The accuracy table of docs/tables/accuracy.md: one trained network in every precision of every engine.

::

    python docs/tables/accuracy_table.py CONFIG CHECKPOINT --calibration DIR --calibration-labels DIR \
        --images DIR --labels DIR --targets onnxruntime_dynamic,openvino-int8_dynamic [--name CGNet/CamVid] [--limit N]
        [--latency] [--packages DIR]

    python docs/tables/accuracy_table.py --zoo DIR --targets torch_dynamic,onnxruntime_dynamic,openvino-int8_dynamic

``--zoo`` takes every network that ``demo/train_zoo.py --to DIR`` has trained, with its held-out scenes and those for
calibration. Calibration sees images that the table is not made from. --latency times what the table has already, which
wants a machine without other work. --packages keeps the packages, and takes those that are there. Results are merged
into docs/tables/accuracy.json and written to docs/tables/accuracy.md.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import Progress

from segship import Segmentor, SegshipError, Source, export, load_network
from segship.backends import find_backend
from segship.core.errors import SegshipWarning
from segship.core.manifest import read_manifest
from segship.deploy import Int8
from segship.evaluation import evaluate, pair_files
from segship.networks.session import EagerSession
from segship.runtime.package import Package
from segship.vision.decode import read_image
from segship.vision.image_files import find_images
from segship.vision.preprocess import prepare

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))

from timing import interleave

HERE = Path(__file__).parent
RESULTS, PAGE = HERE / "accuracy.json", HERE / "accuracy.md"


def measure(options: argparse.Namespace, target: str, progress: Progress, old: dict[str, Any]) -> dict[str, Any]:
    """One row; ``old``: what is known of it."""
    int8 = Int8(calibration=options.calibration, labels=options.calibration_labels, images=options.calibration_images)
    task = progress.add_task(target, total=None)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(options.packages or folder, options.name.replace(",", "").replace(" ", "-"), target)
        try:
            package = _package(path) or export(
                options.source,
                path,
                target=target,
                int8=int8 if "-int8_" in target else None,
                progress=lambda stage: progress.update(task, description=f"{target}: {stage}"),
            )
        except SegshipError as error:
            progress.remove_task(task)
            return {"target": target, "refused": str(error)}
        if options.latency:
            image = find_images([options.images])[0]
            return {**old, "latency": latency_of(options, package.path, image)}
        segmentor = Segmentor(package.path, threads=options.threads, trust=True)  # made by this very program
        pairs = pair_files(options.images, options.labels)[: options.limit]
        progress.update(task, description=f"{target}: evaluating", total=len(pairs))
        result = evaluate(segmentor, pairs, progress=lambda done, _: progress.update(task, completed=done))
        manifest = package.manifest
        size = sum(file.size for file in manifest.files.values())
    progress.remove_task(task)
    record = manifest.quantization
    return {
        "target": target,
        "images": len(pairs),
        "aAcc": result.scores.aAcc,
        "mIoU": result.scores.mIoU,
        "mAcc": result.scores.mAcc,
        "IoU": dict(zip(result.classes, map(float, result.scores.IoU), strict=True)),
        "bytes": size,
        "kept": len(record.kept) if record else 0,
        "layers": record.layers if record else 0,
    }


def _package(path: Path) -> Package | None:
    """The package that an earlier run has left."""
    return Package(path, read_manifest(path)) if path.is_dir() else None


def latency_of(options: argparse.Namespace, package: Path, image: Path) -> float:
    """The engine's time on one image, as a share of the eager network's: medians of one interleaved run."""
    manifest = read_manifest(package)
    torch.set_num_threads(options.threads)
    original = EagerSession(load_network(options.source))
    engine = find_backend(manifest.target.backend).open(manifest.engine(package), threads=options.threads)
    feeds = {manifest.inputs[0].name: prepare(read_image(image), manifest.spec).tensor}
    image_only = {"image": feeds[manifest.inputs[0].name]}
    times = interleave({"torch": lambda: original.run(image_only), "engine": lambda: engine.run(feeds)}, rounds=15)
    return times["engine"].median / times["torch"].median


def write_page(results: dict[str, dict[str, Any]]) -> None:
    """Put both tables between their marks."""
    page = PAGE.read_text(encoding="utf-8")
    for name, lines in (("glance", _glance(results)), ("table", _rows(results))):
        begin, end = (f"<!-- accuracy {name}: {mark} -->" for mark in ("begin", "end"))
        head, rest = page.split(begin)
        page = f"{head}{begin}\n" + "\n".join(lines) + f"\n{end}{rest.split(end)[1]}"
    PAGE.write_text(page, encoding="utf-8")


def _glance(results: dict[str, dict[str, Any]]) -> list[str]:
    """The change of mIoU alone: a line for each target, a column for each network."""
    complete = sorted(results.values(), key=len, reverse=True)
    targets = dict.fromkeys(target.partition("_")[0] for rows in complete for target in rows)
    columns = [{target.partition("_")[0]: row for target, row in rows.items()} for rows in results.values()]
    lines = [f"| | {' | '.join(results)} |", "|---|" + "---:|" * len(results)]
    lines.append("| **mIoU** | " + " | ".join(f"{_first(rows)['mIoU']:.2f}" for rows in results.values()) + " |")
    for target in targets:
        cells = (_change(rows.get(target), _first(rows)) for rows in columns)
        lines.append(f"| `{target}` | {' | '.join(cells)} |")
    return lines


def _change(row: dict[str, Any] | None, first: dict[str, Any]) -> str:
    if row is None:
        return ""
    return "refused" if "refused" in row else f"{row['mIoU'] - first['mIoU']:+.2f}".replace("-0.00", "+0.00")


def _first(rows: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """What a network's other rows are compared with."""
    return next((row for row in rows.values() if "mIoU" in row), {"mIoU": 0.0})


def _rows(results: dict[str, dict[str, Any]]) -> list[str]:
    lines = [
        "| network | target | aAcc | mIoU | mAcc | Δ mIoU | worst class | latency | size | kept in floating point |",
        "|---|---|---:|---:|---:|---:|---|---:|---:|---:|",
    ]
    for name, rows in results.items():
        first = _first(rows)
        for target, row in rows.items():
            if "refused" in row:
                lines.append(f"| {name} | `{target}` | refused: {row['refused'].replace('|', '/')} | | | | | | | |")
                continue
            latency = f"{row['latency']:.2f}" if "latency" in row else ""
            kept = f"{row['kept']} of {row['layers']}" if row["layers"] else ""
            lines.append(
                f"| {name} | `{target}` | {row['aAcc']:.2f} | {row['mIoU']:.2f} | {row['mAcc']:.2f} "
                f"| {_change(row, first)} | {_worst(row, first)} | {latency} | {row['bytes'] / 1e6:.1f} MB | {kept} |"
            )
    return lines


def _worst(row: dict[str, Any], first: dict[str, Any]) -> str:
    """The class that loses most IoU against the network's first row; nothing where that is not known."""
    if not {"IoU"} <= row.keys() & first.keys():
        return ""
    changes = {name: value - first["IoU"][name] for name, value in row["IoU"].items() if value >= 0}
    name = min(changes, key=lambda one: changes[one])
    return f"{name} {changes[name]:+.2f}"


def _trained(folder: Path) -> list[tuple[str, Source]]:
    """Name and source of each network that ``demo/train_zoo.py`` left in a folder."""
    sys.path.append(str(HERE.parents[1] / "demo"))
    from train_zoo import configs

    found = []
    for file in sorted(folder.glob("*.pth")):
        record = json.loads(file.with_suffix(".json").read_text())
        source = Source(configs() / record["config"], file, cfg_options=record["options"])
        found.append((f"{file.stem}, scenes", source))
    return found


def _of_zoo(options: argparse.Namespace) -> list[tuple[str, Source]]:
    """The networks of the command line, whose data are those of the zoo where one is named."""
    if options.zoo is None:
        given = options.config is not None
        return [(options.name, Source(options.config, options.checkpoint))] if given else []
    options.images, options.labels = (options.zoo / "held_out" / name for name in ("images", "labels"))
    options.calibration, options.calibration_labels = (
        options.zoo / "calibration" / name for name in ("images", "labels")
    )
    return _trained(options.zoo)


def main() -> None:
    """Measure the targets and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path, nargs="?")
    parser.add_argument("checkpoint", type=Path, nargs="?")
    parser.add_argument("--name", default="network")
    parser.add_argument("--zoo", type=Path, help="folder of demo/train_zoo.py, instead of CONFIG and data")
    parser.add_argument("--targets", default="onnxruntime_dynamic")
    for option in ("--calibration", "--calibration-labels", "--images", "--labels"):
        parser.add_argument(option, type=Path)
    parser.add_argument("--calibration-images", type=int, default=64)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--latency", action="store_true")
    parser.add_argument("--packages", type=Path, help="folder to keep packages in")
    options = parser.parse_args()
    results: dict[str, dict[str, Any]] = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}
    warnings.simplefilter("ignore", SegshipWarning)
    for name, source in _of_zoo(options):
        options.source, options.name = source, name
        rows = results.setdefault(name, {})
        with Progress(console=Console(stderr=True)) as progress:
            for target in options.targets.split(","):
                if options.latency and "refused" in rows.get(target, {}):
                    continue
                rows[target] = measure(options, target, progress, rows.get(target, {}))
                RESULTS.write_text(json.dumps(results, indent=1) + "\n")
                print(target, rows[target], file=sys.stderr)
    write_page(results)


if __name__ == "__main__":
    main()
