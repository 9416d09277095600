"""Write spec and the native library's rules of manifests anew, from the Python that is the reference.

::

    python dev/make_spec.py [FOLDER]

Everything is made of whole-number formulas: the same files come out on every machine, but for the last bits of scores
and of inputs that are resized in floating point. Logits are chosen so that no mask hangs on the last bits.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from record_rules import rules_text
from record_schema import record_schema
from segship.core.manifest import Manifest
from segship.core.plan import SCHEMA_VERSION, EmbeddedSpec
from segship.vision import tiling, upsample
from segship.vision.mosaic import Mosaic
from segship.vision.preprocess import prepare
from spec_cases import CASES, Case, make_image, make_logits, make_spec
from spec_packages import write_packages

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from segship.core.spec import ModelSpec
    from segship.vision.preprocess import Prepared

ROOT = Path(__file__).parents[1] / "spec"
SCHEMA = "manifest.schema.json"
RULES = Path(__file__).parents[1] / "native" / "src" / "core" / "manifest_rules.inc"
VECTORS_VERSION = 1
_MOST_SCORES = 4096  # numbers of one file
_MARGIN = 2e-5  # of the greatest logit: what two implementations may differ by, several times over
_TRIES = 200
_TOLERANCE = 1e-6


def schema() -> str:
    """Return the JSON schema of a manifest, as the committed file holds it."""
    made = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"segship-manifest-{SCHEMA_VERSION}",
        **record_schema(Manifest),
    }
    return json.dumps(made, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def rules() -> str:
    """Return the same for the native library, as its committed file holds it."""
    return rules_text(Manifest, EmbeddedSpec)


def write_pnm(path: Path, array: NDArray[Any]) -> None:
    """Write labels (H, W) as PGM or colours (H, W, 3) as PPM; numbers of 16 bits are big-endian there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    kind, most = ("P6" if array.ndim == 3 else "P5"), (255 if array.dtype == np.uint8 else 65535)
    head = f"{kind}\n{array.shape[1]} {array.shape[0]}\n{most}\n".encode()
    path.write_bytes(head + array.astype(array.dtype.newbyteorder(">")).tobytes())


class Writer:
    """The files of one folder of vectors, named by their entries in the index.

    Args:
        folder: Where they go.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def raw(self, name: str, array: NDArray[Any]) -> dict[str, Any]:
        """Write little-endian numbers in C order."""
        file = f"{name}.raw"
        (self.folder / file).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / file).write_bytes(array.astype(array.dtype.newbyteorder("<")).tobytes())
        return {"file": file, "dtype": str(array.dtype), "shape": list(array.shape)}

    def picture(self, name: str, array: NDArray[Any]) -> dict[str, Any]:
        """Write a PPM or PGM."""
        file = f"{name}.{'ppm' if array.ndim == 3 else 'pgm'}"
        write_pnm(self.folder / file, array)
        return {"file": file, "dtype": str(array.dtype), "shape": list(array.shape)}

    def image(self, array: NDArray[Any]) -> dict[str, Any]:
        """Write an image under a name that says its size, so that cases share it."""
        name = "images/" + "x".join(map(str, array.shape)) + f"_{array.dtype}"
        return (self.picture if name.endswith("x3_uint8") else self.raw)(name, array)

    def scores(self, name: str, scores: NDArray[np.float32]) -> dict[str, Any]:
        """Write the scores of every so many pixels, counted row by row."""
        flat = scores.reshape(len(scores), -1)
        every = -(-flat.size // _MOST_SCORES)
        return {**self.raw(name, np.ascontiguousarray(flat[:, ::every])), "every": every, "tolerance": 1e-6}


def _cells(side: int, stride: int) -> int:
    return -(-side // stride) if stride else 1


def _input(case: Case, prepared: Prepared, writer: Writer) -> dict[str, Any]:
    """The digest of the network's input; the input itself where its last bits depend on the machine."""
    tensor, spec = prepared.tensor, make_spec(case.classes, case.image[2], case.spec)
    rounded = all(not step.resampling.startswith("float") for step in spec.geometry)
    if spec.geometry and not (rounded and spec.pixels == "uint8"):
        return {**writer.raw(f"{case.name}/input", tensor), "tolerance": _TOLERANCE}
    data = tensor.astype("<f4").tobytes()
    return {"dtype": "float32", "shape": list(tensor.shape), "sha256": hashlib.sha256(data).hexdigest()}


def _resized(logits: NDArray[np.float32], operators: tuple[Any, Any]) -> NDArray[np.float64]:
    """The logits at every pixel, in double precision."""
    matrices = []
    for taps in operators:
        matrix = np.zeros((len(taps), taps.cells))
        np.add.at(matrix, (np.arange(len(taps))[:, None], taps.index), taps.weight)
        matrices.append(matrix)
    return np.einsum("Hh,khw,Ww->kHW", matrices[0], logits.astype(np.float64), matrices[1], optimize=True)


def _is_clear(logits: NDArray[np.float32], prepared: Prepared, spec: ModelSpec, windows: tiling.Windows | None) -> bool:
    """Whether every pixel's winner leads by more than what the last bits can do."""
    corners = spec.align_corners
    if windows is None:
        flat, operators = logits[0], upsample.operators(logits.shape[2:], prepared.steps, align_corners=corners)
    else:
        mosaic = Mosaic(windows, (logits.shape[2], logits.shape[3]), prepared.steps, align_corners=corners)
        whole = mosaic.block(*(slice(0, side) for side in mosaic.size))
        flat = whole.gather(lambda line, column: logits[line * len(windows.lefts) + column])
        operators = whole.operators
    values = _resized(flat, operators)
    if spec.output == "sigmoid":
        lead = np.abs(values[0] - upsample.score_above(spec.threshold, activated=spec.returns == "probabilities"))
    else:
        second, first = np.partition(values, -2, axis=0)[-2:]
        lead = first - second
    return bool(lead.min() > _MARGIN * np.abs(flat).max())


def _clear_logits(
    case: Case, prepared: Prepared, spec: ModelSpec, windows: tiling.Windows | None
) -> NDArray[np.float32]:
    height, width = windows.window if windows else prepared.tensor.shape[2:]
    shape = (
        len(windows) if windows else 1,
        1 if spec.output == "sigmoid" else case.classes,
        _cells(height, case.stride),
        _cells(width, case.stride),
    )
    for attempt in range(_TRIES):
        seed = 1000 * (1 + CASES.index(case)) + 2 * attempt
        finite = make_logits(*shape, seed, case.logits if case.logits == "probabilities" else "")
        if _is_clear(finite, prepared, spec, windows):
            return make_logits(*shape, seed, case.logits)
    raise AssertionError(f"{case.name}: no logits without a near tie in {_TRIES} tries")


def _mask_and_scores(
    logits: NDArray[np.float32], prepared: Prepared, spec: ModelSpec, windows: tiling.Windows | None
) -> tuple[NDArray[Any], NDArray[np.float32]]:
    sigmoid = spec.output == "sigmoid"
    threshold = spec.threshold if sigmoid else None
    how = {"align_corners": spec.align_corners, "activated": spec.returns == "probabilities"}
    if windows is None:
        return (
            upsample.labels(logits[0], prepared.steps, threshold=threshold, **how),
            upsample.scores(logits[0], prepared.steps, sigmoid=sigmoid, **how),
        )
    return (
        tiling.labels(logits, windows, prepared.steps, threshold=threshold, **how),
        tiling.scores(logits, windows, prepared.steps, sigmoid=sigmoid, **how),
    )


def write_case(case: Case, writer: Writer) -> dict[str, Any]:
    """Write one case's files; its entry in the index."""
    spec = make_spec(case.classes, case.image[2], case.spec)
    image = make_image(*case.image)
    prepared = prepare(image, spec, channel_order="rgb")
    height, width = prepared.tensor.shape[2:]
    windows = tiling.plan((height, width), spec.slide) if spec.slide else None
    logits = _clear_logits(case, prepared, spec, windows)
    mask, scores = _mask_and_scores(logits, prepared, spec, windows)
    entry = {
        "name": case.name,
        "what": case.what,
        "spec": spec.model_dump(mode="json"),
        "image": writer.image(image),
        "input": _input(case, prepared, writer),
        "logits": writer.raw(f"{case.name}/logits", logits),
        "steps": [
            {"size": step.size, "crop": step.crop or step.size, "origin": step.origin}
            | ({"nearest": True} if step.nearest else {})
            for step in prepared.steps
        ],
        "mask": writer.picture(f"{case.name}/mask", mask),
        "scores": writer.scores(f"{case.name}/scores", scores),
    }
    if windows is not None:
        entry["windows"] = {"window": windows.window, "tops": windows.tops, "lefts": windows.lefts}
    return entry


def _one_a_line(entries: list[dict[str, Any]]) -> str:
    """A JSON list with each entry's fields on lines of their own: readable, and not a line for each number."""
    fields = (
        ",\n".join(f"   {json.dumps(key)}: {json.dumps(value)}" for key, value in entry.items()) for entry in entries
    )
    return "[\n" + ",\n".join("  {\n" + lines + "\n  }" for lines in fields) + "\n ]"


def main(folder: Path = ROOT) -> None:
    """Write everything below ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / SCHEMA).write_text(schema(), encoding="utf-8")
    vectors = folder / "vectors"
    shutil.rmtree(vectors, ignore_errors=True)
    writer = Writer(vectors)
    cases = [write_case(case, writer) for case in CASES]
    packages = write_packages(writer)
    (vectors / "index.json").write_text(
        f'{{\n "version": {VECTORS_VERSION},\n "manifest_version": {SCHEMA_VERSION},\n'
        f' "cases": {_one_a_line(cases)},\n "packages": {_one_a_line(packages)}\n}}\n',
        encoding="utf-8",
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", default=ROOT)
    RULES.write_text(rules(), encoding="utf-8")
    main(parser.parse_args().folder)
