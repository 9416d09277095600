"""Evaluating a data set, against MMSegmentation's own test loop and against the engine alone.

::

    python benchmarks/evaluate.py CONFIG CHECKPOINT --package PACKAGE [--package PACKAGE ...] --data ROOT \
        [--layout camvid] [--split test] [--limit 60] [--rounds 2] [--threads 1] [--mmseg PYTHON] [--json FILE]

Each candidate runs in a process of its own, one after the other in each round. Told are the seconds and the processor's
seconds from the first image to the figures, without what starting the program takes, for each image:

With ``--threads 1`` the framework has one thread, and only the seconds of the processors may be compared: on a machine
that does other work, threads that wait for each other in loops would be charged to it.

- *mmseg*: the test loop of MMSegmentation 1.x (``Runner.test_loop.run()``) under ``--mmseg PYTHON``, as its config has
  it, denormal weights set to zero (without that it is many times slower);
- *PACKAGE*: `segship.evaluation.evaluate_job`, as ``segship evaluate`` calls it;
- *PACKAGE, engine*: the same networks in as many threads, given tensors that were made before: no file is read, no mask
  made, nothing counted.
"""

from __future__ import annotations

import argparse
import importlib.machinery
import json
import os
import statistics
import subprocess
import sys
import time
import types
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

_KINDS = ("wall", "cpu")


def timed(run: Callable[[], Any]) -> tuple[dict[str, float], Any]:
    """Seconds by the clock and of the processors, and what ``run`` returns."""
    wall, cpu = time.perf_counter(), time.process_time()
    found = run()
    return {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}, found


class _NoCompiledOps(types.ModuleType):
    """Stands in for mmcv's compiled operators, which mmcv-lite has not."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *_, **__: None


def run_mmseg(options: argparse.Namespace) -> dict[str, float]:
    """The framework's loop; this function runs in the framework's environment."""
    missing = _NoCompiledOps("mmcv._ext")
    missing.__spec__ = importlib.machinery.ModuleSpec("mmcv._ext", None)
    sys.modules.setdefault("mmcv._ext", missing)
    import torch
    from mmengine.config import Config
    from mmengine.runner import Runner

    config = Config.fromfile(options.config)
    config.test_dataloader.dataset.data_root = str(options.data)
    if options.limit:
        config.test_dataloader.dataset.indices = options.limit
    config.load_from = str(options.checkpoint)
    config.work_dir, config.default_scope, config.log_level = "/tmp/segship-benchmark", "mmseg", "ERROR"  # noqa: S108
    config.visualizer = None
    runner = Runner.from_cfg(config)
    loop = runner.test_loop
    runner.call_hook("before_run")
    runner.load_or_resume()
    torch.set_flush_denormal(True)
    for weight in runner.model.state_dict().values():  # the same storage, and other threads flush nothing
        weight[weight.abs() < torch.finfo(torch.float32).tiny] = 0
    seconds, figures = timed(loop.run)
    return seconds | {
        "images": len(loop.dataloader.dataset),
        "aAcc": float(figures["aAcc"]),
        "mIoU": float(figures["mIoU"]),
    }


def _job(options: argparse.Namespace, package: Path) -> Any:
    from segship.evaluation import Data, Job, NetworkFiles

    files = NetworkFiles(package)
    spec = files.spec()
    data = Data.layout(options.layout, options.data, options.split, limit=options.limit)
    return Job.of(files, spec, data.samples_for(spec)), spec


def run_segship(options: argparse.Namespace, package: Path) -> dict[str, float]:
    """Our evaluation."""
    from segship.evaluation import evaluate_job

    job, spec = _job(options, package)
    lanes = job.open()
    seconds, found = timed(lambda: evaluate_job(job, spec.classes, engines=lanes))
    return seconds | {"images": found.images, "aAcc": found.scores.aAcc, "mIoU": found.scores.mIoU}


def run_engine(options: argparse.Namespace, package: Path) -> dict[str, float]:
    """The engine, in as many lanes."""
    from segship.backends import find_backend
    from segship.core.manifest import read_manifest
    from segship.evaluation.network import processors
    from segship.vision.decode import read_image
    from segship.vision.preprocess import prepare

    job, spec = _job(options, package)
    manifest = read_manifest(package)
    backend = find_backend(manifest.target.backend)
    count = min(4, processors())
    lanes = [backend.open(manifest.engine(package), threads=max(1, processors() // count)) for _ in range(count)]
    tensors = [prepare(read_image(sample.image), spec).tensor for sample in job.samples]

    def run() -> None:
        shares = [tensors[first::count] for first in range(count)]
        with ThreadPoolExecutor(count) as pool:
            list(pool.map(_run_all, lanes, shares))

    seconds, _ = timed(run)
    return seconds | {"images": len(tensors)}


def _run_all(session: Any, tensors: list[Any]) -> None:
    for tensor in tensors:
        session.run({"image": tensor})


def _child(threads: int | None, python: str, *words: object) -> dict[str, float]:
    command = [python, __file__, *map(str, words)]
    # Training checkpoints hold more than weights; the user named this one.
    environment = (
        os.environ | {"TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD": "1"} | ({"OMP_NUM_THREADS": str(threads)} if threads else {})
    )
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stderr}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def measure(options: argparse.Namespace) -> dict[str, list[dict[str, float]]]:
    """Every candidate in every round."""
    given = [
        options.config,
        options.checkpoint,
        "--data",
        options.data,
        "--split",
        options.split,
        "--layout",
        options.layout,
    ]
    given += ["--limit", options.limit] if options.limit else []
    candidates = {"mmseg": (options.mmseg, "--run", "mmseg")} if options.mmseg else {}
    for package in options.package:
        candidates[str(package)] = (sys.executable, "--run", "segship", "--package", package)
        candidates[f"{package}, engine"] = (sys.executable, "--run", "engine", "--package", package)
    rounds: dict[str, list[dict[str, float]]] = {name: [] for name in candidates}
    for turn in range(options.rounds):
        for name in candidates if turn % 2 == 0 else reversed(candidates):
            python, *words = candidates[name]
            rounds[name].append(_child(options.threads, python, *given, *words))
    return rounds


def table(rounds: dict[str, list[dict[str, float]]]) -> list[str]:
    """Medians for each image, as Markdown."""
    lines = ["| | ms by the clock | of mmseg's | ms of processors | of mmseg's | aAcc | mIoU |"]
    lines.append("|---|---:|---:|---:|---:|---:|---:|")
    middle = {name: {kind: statistics.median(_spread(runs, kind)) for kind in _KINDS} for name, runs in rounds.items()}
    for name, runs in rounds.items():
        cells = [name]
        for kind in _KINDS:
            values = _spread(runs, kind)
            cells.append(f"{middle[name][kind]:.1f} ({min(values):.1f}-{max(values):.1f})")
            cells.append(f"{middle[name][kind] / middle['mmseg'][kind]:.2f}" if "mmseg" in rounds else "")
        cells += [f"{runs[0][figure]:.2f}" if figure in runs[0] else "" for figure in ("aAcc", "mIoU")]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _spread(runs: list[dict[str, float]], kind: str) -> list[float]:
    return [1000 * run[kind] / run["images"] for run in runs]


def main() -> None:
    """Run as a script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--package", type=Path, action="append", default=[])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--layout", default="camvid")
    parser.add_argument("--split", default="test")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--mmseg", help="Python with MMSegmentation; left out: it is not compared with")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--run", choices=["mmseg", "segship", "engine"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run == "mmseg":
        print(json.dumps(run_mmseg(options)))
    elif options.run:
        run = run_segship if options.run == "segship" else run_engine
        print(json.dumps(run(options, options.package[0])))
    else:
        rounds = measure(options)
        print("\n".join(table(rounds)))
        if options.json:
            options.json.write_text(json.dumps(rounds, indent=1))


if __name__ == "__main__":
    main()
