"""Networks that other libraries wrote, exported, against the masks that the libraries themselves recorded.

Each source is a function in ``SOURCES`` that yields rows. The recordings stand in a folder that ``SEGSHIP_RECORDINGS``
names; a source of which nothing is there is left out, and keeps its rows on the page::

    python docs/tables/sources.py [SOURCE ...] [--write]

``--write`` puts the table of each source into docs/tables/sources.md, between its own marks.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path
from time import process_time
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))
from safetensors.numpy import save_file

from segship import Segmentor, Source, export
from segship.core.spec import SizeRule
from segship.networks.session import EagerSession
from segship.runtime.pipeline import Pipeline
from segship.sources import load
from segship.vision.decode import read_image
from segship.vision.preprocess import prepare
from support import lightly as weights_of
from support import medical
from support.fill import fill
from support.references import REFERENCES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from segship import Package
    from segship.sources import Loaded

PAGE = Path(__file__).parent / "sources.md"


class Row(NamedTuple):
    """One network.

    Attributes:
        name: Of the network.
        sizes: The sizes that its graph takes.
        recorded: The input sizes at which masks were recorded.
        difference: The largest difference between its engine's logits and the network's, as a share of the greatest.
        labels: The least share of equal labels of the package and of what the library recorded.
        seconds: CPU seconds of its export.
        read: As ``labels``, of the network as it is read, in PyTorch with one thread; None: not measured.
    """

    name: str
    sizes: str
    recorded: str
    difference: float
    labels: float
    seconds: float
    read: float | None = None

    @property
    def head(self) -> tuple[str, str]:
        """The two lines above such rows."""
        read = ("", "") if self.read is None else (" labels in PyTorch |", "---:|")
        return (
            f"| network | sizes | recorded at |{read[0]} max Δ of the logits | labels | seconds |",
            f"|---|---|---|{read[1]}---:|---:|---:|",
        )

    def __str__(self) -> str:
        read = "" if self.read is None else f" {self.read:.4%} |"
        return (
            f"| {self.name} | {self.sizes} | {self.recorded} |{read} {self.difference:.1e} | {self.labels:.4%} | "
            f"{self.seconds:.1f} |"
        )


def _as_read(loaded: Loaded, image: NDArray[np.uint8]) -> NDArray[Any]:
    """The mask of an image (BGR) by the network itself, whose sums are those of one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    mask = Pipeline(EagerSession(loaded.network), loaded.spec, SizeRule()).labels(image, "bgr")
    torch.set_num_threads(threads)
    return mask


def huggingface(recordings: Path) -> Iterator[Row]:
    """Folders that transformers wrote, and its own post-processing, at several input sizes."""
    folder = recordings / "huggingface"
    for entry in json.loads((folder / "index.json").read_text()):
        with tempfile.TemporaryDirectory() as scratch, np.load(folder / entry["file"]) as recorded:
            start = process_time()
            package = export(folder / entry["folder"], None, Path(scratch) / "package")
            seconds = process_time() - start
            manifest = package.manifest
            shares, sizes, read = [], [], []
            with Segmentor(package.path) as segmentor:
                session = segmentor._pipeline._open  # noqa: SLF001  (the engine alone, for other input sizes)
                for case in entry["cases"]:
                    if "error" in case:
                        continue
                    loaded = load(_asked(folder / entry["folder"], case["size"], Path(scratch) / "asked"))
                    image = read_image(recordings / case["image"])
                    labels = recorded[f"labels_{case['key']}"]
                    found = (
                        segmentor(image, channel_order="bgr")
                        if case["size"] is None
                        else Pipeline(session, loaded.spec, manifest.sizes).labels(image, "bgr")
                    )
                    shares.append(float((found == labels).mean()))
                    read.append(float((_as_read(loaded, image) == labels).mean()))
                    sizes.append("x".join(map(str, case["input_shape"][2:])))
        worst = max(check.max_difference for check in manifest.checks)
        recorded_at = ", ".join(dict.fromkeys(sizes))
        yield Row(entry["folder"], str(manifest.sizes), recorded_at, worst, min(shares), seconds, min(read))


def _asked(folder: Path, size: Any, scratch: Path) -> Path:
    """A copy of ``folder`` whose processor makes ``size``."""
    if size is None:
        return folder
    shutil.rmtree(scratch, ignore_errors=True)
    shutil.copytree(folder, scratch, copy_function=shutil.copyfile)
    file = scratch / "preprocessor_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"size": size}))
    return scratch


def smp(recordings: Path) -> Iterator[Row]:
    """Folders that segmentation_models_pytorch wrote, and its own ``predict``."""
    folder = recordings / "smp"
    for entry in json.loads((folder / "index.json").read_text()):
        with tempfile.TemporaryDirectory() as scratch, np.load(folder / entry["file"]) as recorded:
            whole = with_weights(folder / entry["folder"], entry, Path(scratch) / "whole")
            bands = entry["preprocessing"] == "bands / 255"
            source = Source(whole, normalize="unit" if bands else None)
            start = process_time()
            package = export(source, Path(scratch) / "package")
            seconds = process_time() - start
            shares, sizes, read = [], [], []
            loaded = source.load()
            with Segmentor(package.path) as segmentor:
                for case in entry["cases"]:
                    photograph = read_image(folder / case["image"])
                    image = _five_bands(photograph[:, :, ::-1]) if bands else photograph
                    labels = recorded[f"mask_{Path(case['image']).stem}"]
                    shares.append(float((segmentor(image, channel_order="bgr") == labels).mean()))
                    read.append(float((_as_read(loaded, image) == labels).mean()))
                    sizes.append("x".join(map(str, case["input"][2:])))
        manifest = package.manifest
        worst = max(check.max_difference for check in manifest.checks)
        name = f"{entry['architecture']}, {entry['options']['encoder_name']}"
        yield Row(name, str(manifest.sizes), ", ".join(sizes), worst, min(shares), seconds, min(read))


def with_weights(source: Path, entry: dict[str, Any], folder: Path) -> Path:
    """A copy of a recorded folder, with the weights that its recording names."""
    shutil.copytree(source, folder, copy_function=shutil.copyfile)
    if not entry["stored"]:
        prefix = entry["weights"].split("'")[1]
        state = json.loads((source / "state.json").read_text())
        weights = {
            key: fill(prefix + key, tuple(shape)) if "float" in kind else np.zeros(shape, np.int64)
            for key, (kind, shape) in state.items()
        }
        save_file(weights, folder / "model.safetensors")
    return folder


def _five_bands(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Red, green, blue, their mean rounded down, and green inverted: the bands of the recording."""
    mean = image.astype(np.int64).sum(2) // 3
    return np.dstack([image, mean.astype(np.uint8), 255 - image[:, :, 1]])


def nnunet(recordings: Path) -> Iterator[Row]:
    """Folders that nnU-Net's trainer wrote, and its own predictor: one fold and several, plain and mirrored."""
    folder = recordings / "nnunet"
    index, recorded = json.loads((folder / "index.json").read_text()), np.load(folder / "predictions.npz")
    for folds in sorted({tuple(case["folds"]) for case in index["cases"]}):
        source = Source(folder / index["folder"], cfg_options={"folds": list(folds)})
        with _exported(source) as (package, seconds):
            for mirrored in (False, True):
                shares, sizes = [], []
                with Segmentor(package.path, tta=mirrored or None) as segmentor:
                    for case in index["cases"]:
                        if (tuple(case["folds"]), case["mirroring"]) == (folds, mirrored):
                            found = segmentor(folder / "images" / case["files"][0])
                            shares.append(float((found == recorded[f"labels_{case['key']}"]).mean()))
                            sizes.append("x".join(map(str, case["shape"])))
                name = f"{index['network'].rsplit('.', 1)[-1]}, {len(folds)} fold{'s' * (len(folds) > 1)}"
                yield _row(f"{name}{', mirrored' * mirrored}", package, sizes, shares, seconds)


def monai(recordings: Path) -> Iterator[Row]:
    """A bundle that MONAI wrote, and its own inference, which has the width first; then networks of MONAI's own."""
    folder = recordings / "monai"
    index, recorded = json.loads((folder / "index.json").read_text()), np.load(folder / "predictions.npz")
    with _exported(Source(folder / index["bundle"])) as (package, seconds), Segmentor(package.path) as segmentor:
        shares, sizes = [], []
        for case in index["cases"]:
            found = segmentor(folder / "images" / case["image"])
            shares.append(float((found == recorded[f"pred_{Path(case['image']).stem}"].T).mean()))
            sizes.append(f"{case['height']}x{case['width']}")
        yield _row("UNet", package, sizes, shares, seconds)
    if importlib.util.find_spec("monai") is not None:
        for name in medical.LIBRARY:
            yield _of_monai(name)


def _of_monai(name: str) -> Row:
    """A network that the MONAI which is installed makes, writes and runs in windows; a square of a scene."""
    from monai.inferers import SlidingWindowInferer

    window = [64, 64]
    with tempfile.TemporaryDirectory() as scratch:
        network, channels = medical.library_bundle(name, Path(scratch) / "bundle", window)
        image = read_image(REFERENCES / "pipeline" / "street_300x401.png")[100:230, 60:240, :channels]
        with _exported(Source(Path(scratch) / "bundle")) as (package, seconds):
            pixels = torch.from_numpy(prepare(image, package.manifest.spec).tensor).transpose(2, 3)
            with torch.inference_mode():
                scores = SlidingWindowInferer(window, mode="gaussian")(pixels, network)[0]
            with Segmentor(package.path) as segmentor:
                found = segmentor(image, channel_order="bgr")
            share = float((found == scores.argmax(0).T.numpy()).mean())
            return _row(name, package, ["130x180"], [share], seconds)


def lightly(_: Path) -> Iterator[Row]:
    """Checkpoints as lightly-train exports them, and its own ``predict``; recorded in tests/references."""
    folder = REFERENCES / "lightly"
    with np.load(folder / "labels.npz") as recorded, tempfile.TemporaryDirectory() as scratch:
        for name, entry in json.loads((folder / "index.json").read_text())["networks"].items():
            arguments = entry["model_init_args"]
            source = Source(weights_of.write(Path(scratch) / f"{name}.pt", entry))
            with _exported(source) as (package, seconds), Segmentor(package.path) as segmentor:
                found = segmentor(REFERENCES / "pipeline" / "street_300x401.png")
                numbers = np.array([int(number) for number in arguments["classes"]])
                share = float((numbers[found] == recorded[f"{name}_labels"]).mean())
                yield _row(f"{arguments['model_name']}, {name}", package, ["300x401"], [share], seconds)


@contextlib.contextmanager
def _exported(source: Source) -> Iterator[tuple[Package, float]]:
    """A package in a folder of its own, and the CPU seconds of its export."""
    with tempfile.TemporaryDirectory() as scratch:
        start = process_time()
        package = export(source, Path(scratch) / "package")
        yield package, process_time() - start


def _row(name: str, package: Package, sizes: list[str], shares: list[float], seconds: float) -> Row:
    worst = max(check.max_difference for check in package.manifest.checks)
    return Row(name, str(package.manifest.sizes), ", ".join(dict.fromkeys(sizes)), worst, min(shares), seconds)


SOURCES: dict[str, tuple[str, Callable[[Path], Iterator[Row]]]] = {
    "huggingface": ("Hugging Face's transformers", huggingface),
    "smp": ("segmentation_models_pytorch", smp),
    "nnunet": ("nnU-Net", nnunet),
    "monai": ("MONAI", monai),
    "lightly": ("lightly-train", lightly),
}
"""Title and rows of each source; another one is a line here and a function."""


def _page(name: str, rows: list[str]) -> None:
    """Put the rows of a source between its marks, which are added where they are not there."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    text = PAGE.read_text(encoding="utf-8")
    if begin not in text:
        text = f"{text.rstrip()}\n\n## {SOURCES[name][0]}\n\n{begin}\n{end}\n"
    head, rest = text.split(begin)
    PAGE.write_text(f"{head}{begin}\n" + "\n".join(rows) + f"\n{end}{rest.split(end)[1]}", encoding="utf-8")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sources", nargs="*", help=", ".join(SOURCES))
    parser.add_argument("--write", action="store_true", help="put the tables into docs/tables/sources.md")
    options = parser.parse_args()
    recordings = Path(os.environ.get("SEGSHIP_RECORDINGS", "recordings"))
    for name in options.sources or SOURCES:
        if not (recordings / name).is_dir() and not (REFERENCES / name / "index.json").is_file():
            print(f"{name}: nothing is recorded in {recordings / name} (SEGSHIP_RECORDINGS names the folder)")
            continue
        rows: list[str] = []
        for row in SOURCES[name][1](recordings):
            lines = [str(row)] if rows else [*row.head, str(row)]
            rows.extend(lines)
            print(*lines, sep="\n", flush=True)
        if options.write:
            _page(name, rows)


if __name__ == "__main__":
    main()
