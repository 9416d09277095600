"""Run the golden packages and the usual mistakes through the program of each language, and compare with Python."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from language_pages import check_pages
from language_tools import NATIVE, PARTS, PLACE, VECTORS, run
from segship import Segmentor, __version__
from segship.core.errors import SegshipError
from segship.core.files import digest
from segship.core.manifest import seal

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SECONDS = 600
# A page brings its own engine and its own library.
_NOT_IN_A_PAGE = ("another engine", "no ONNX Runtime", "another pointer size")
# The library as a program with other pointers meets it.
_OTHER_POINTERS = """
#include <dlfcn.h>
#include <stdint.h>
int32_t segship_require(uint32_t version, uint32_t bytes) {
  void *library = dlopen("libsegship.so.own", RTLD_NOW);
  return ((int32_t (*)(uint32_t, uint32_t))dlsym(library, "segship_require"))(version, bytes / 2);
}
"""


@dataclass(frozen=True)
class Ran:
    """How a program ended."""

    status: int
    told: str


def call(name: str, *arguments: object, **variables: str) -> Ran:
    """Call a language's program from a folder that is not the repository's."""
    done = subprocess.run(
        [str(PLACE / name), *map(str, arguments)],
        check=False,
        cwd=tempfile.gettempdir(),
        env={**os.environ, **variables},
        capture_output=True,
        timeout=_SECONDS,
    )
    return Ran(done.returncode, done.stderr.decode(errors="replace").strip())


def read_mask(path: Path) -> NDArray[Any]:
    """Read a PGM; its numbers of 16 bits are big-endian."""
    data = path.read_bytes()
    magic, width, height, most = data.split(maxsplit=4)[:4]
    if magic != b"P5":
        raise ValueError(f"{path} is not a binary PGM")
    dtype = np.dtype("u1" if most == b"255" else ">u2")
    count = int(width) * int(height)
    return np.frombuffer(data[len(data) - count * dtype.itemsize :], dtype).reshape(int(height), int(width))


def compared(name: str, package: dict[str, Any], folder: Path) -> str:
    """One cell of the table: ``equal``, or what differs."""
    mask, scores = folder / "mask.pgm", folder / "scores.raw"
    for path in (mask, scores):
        path.unlink(missing_ok=True)
    files = (mask, scores) if "scores" in package else (mask,)
    ran = call(name, VECTORS / package["package"], VECTORS / package["image"]["file"], *files)
    if ran.status:
        return f"status {ran.status}: {ran.told}"
    found, expected = read_mask(mask), read_mask(VECTORS / package["mask"]["file"])
    if found.shape != expected.shape or found.dtype != expected.dtype:
        return f"{found.dtype} {found.shape}, not {expected.dtype} {expected.shape}"
    if differ := int((found != expected).sum()):
        return f"{differ} pixel{'s' * (differ > 1)}"
    return _compared_scores(scores, package["scores"]) if "scores" in package else "equal"


def _compared_scores(path: Path, entry: dict[str, Any]) -> str:
    expected = np.fromfile(VECTORS / entry["file"], "<f4").reshape(entry["shape"])
    found = np.fromfile(path, "<f4").reshape(len(expected), -1)[:, :: entry["every"]]
    worst = float(np.abs(found - expected).max()) if found.shape == expected.shape else np.inf
    return "equal" if worst <= entry["tolerance"] else f"scores by {worst:.1e}"


def mistakes(folder: Path) -> dict[str, tuple[tuple[object, ...], dict[str, str], str | None]]:
    """Arguments, environment and Python's message of each; None: the same in all languages, whatever it is."""
    package, image = VECTORS / "packages" / "whole", VECTORS / "images" / "61x83x3_uint8.ppm"
    mask = folder / "mask.pgm"
    found: dict[str, tuple[tuple[object, ...], dict[str, str], str | None]] = {}
    for name, broken in _broken_packages(package, folder).items():
        told = None if name == "another engine" else _python_says(broken)  # Python has more engines to name
        found[name] = ((broken, image, mask), {}, told)
    for name, (path, told) in _broken_images(image, folder).items():
        found[name] = ((package, path, mask), {}, told)
    for name, path, why in (
        ("no folder for the mask", folder / "nowhere" / "mask.pgm", "No such file or directory"),
        ("a folder for the mask", folder, "Is a directory"),
        ("a mask below a file", image / "mask.pgm", "Not a directory"),
    ):
        found[name] = ((package, image, path), {}, f"cannot write {path}: {why}")
    series = ".".join(__version__.split(".")[:2])
    told = (
        f"this program was written for Segship {series} with pointers of 4 bytes, the library is {series} with "
        "pointers of 8 bytes: install the library that belongs to the program"
    )
    others = {"LD_LIBRARY_PATH": str(_with_other_pointers(folder, series))}
    found["another pointer size"] = ((package, image, mask), others, told)
    found["no ONNX Runtime"] = ((package, image, mask), {"SEGSHIP_ONNXRUNTIME": str(folder / "nowhere")}, None)
    return found


def _broken_images(image: Path, folder: Path) -> dict[str, tuple[Path, str]]:
    """Images that cannot be read, each with what is told of it."""
    pixels = image.read_bytes()[-61 * 83 * 3 :]
    expected = "expected a binary PPM (P6) of 8 bits"
    unknown = f"is not an image of a known format: {expected}"
    damaged = "cannot be decoded: the PPM file is cut off or damaged; save or copy it again"
    shrink = "shrink it or raise the limit"
    kinds = {
        "huge": (
            b"P6\n100000 50000\n255\n",
            f"100000x50000 pixels are 5000 million, the limit is 100 million; {shrink}",
        ),
        "larger than a number of 64 bits": (
            b"P6\n9999999999 9999999999\n255\n",
            f"9999999999x9999999999 pixels are 99999999980000 million, the limit is 100 million; {shrink}",
        ),
        "hardly too large": (
            b"P6\n10001 10000\n255\n",
            f"10001x10000 pixels are 100,010,000, the limit is 100,000,000; {shrink}",
        ),
        "of a header that lies": (b"P6\n10000 10000\n255\n" + pixels, damaged),
        "cut off": (b"P6\n83 61\n255\n" + pixels[:-1], damaged),
        "cut off in its header": (b"P6\n83 61\n255", unknown),
        "empty": (b"", f"is empty: {expected}"),
        "of 16 bits": (b"P6\n83 61\n65535\n" + 2 * pixels, unknown),
        "grey": (b"P5\n83 61\n255\n" + pixels, unknown),
        "without columns": (b"P6\n0 61\n255\n" + pixels, unknown),
        "without rows": (b"P6\n83 0\n255\n" + pixels, unknown),
        "of another format": (b"\x89PNG\r\n\x1a\n" + pixels, unknown),
    }
    found = {}
    for number, (kind, (content, told)) in enumerate(kinds.items()):
        path = folder / f"{number}.ppm"
        path.write_bytes(content)
        found[f"an image {kind}"] = path, f"{path} {'is too large: ' * ('limit' in told)}{told}"
    nothing = folder / "nothing.ppm"
    found["no image"] = nothing, f"cannot read {nothing}: No such file or directory"
    found["a folder for an image"] = folder, f"cannot read {folder}: Is a directory"
    return found


def _with_other_pointers(folder: Path, series: str) -> Path:
    """A folder with a library that takes every program for one of half the pointer's size."""
    source, name, own = folder / "pointers.c", f"libsegship.so.{series}", folder / "libsegship.so.own"
    source.write_text(_OTHER_POINTERS)
    # A library cannot need one of its own name: the real one is called otherwise, in as many letters.
    own.write_bytes((NATIVE / name).read_bytes().replace(name.encode(), own.name.encode()))
    run("gcc", "-shared", "-fPIC", f"-Wl,--no-as-needed,-soname,{name}", source, own, "-ldl", "-o", folder / name)
    (folder / "libsegship.so").symlink_to(name)
    return folder


def _broken_packages(package: Path, folder: Path) -> dict[str, Path]:
    """The packages that people have: half copied, changed, of a newer version, not one at all."""
    kinds = (
        *("no such package", "no manifest", "not JSON", "newer", "a changed file", "a file missing", "a wrong field"),
        *(
            "a field too many",
            "a field missing",
            "an unknown step",
            "a file outside",
            "another engine",
            "a broken engine",
        ),
        *("a huge manifest", "colours missing", "edited", "a longer file"),
    )
    places = {kind: folder / kind.replace(" ", "-") for kind in kinds}
    for place in list(places.values())[1:]:
        shutil.copytree(package, place)
    manifest = json.loads((package / "manifest.json").read_text(encoding="utf-8"))
    (places["no manifest"] / "manifest.json").unlink()
    (places["not JSON"] / "manifest.json").write_text('{"spec": ')
    (places["newer"] / "manifest.json").write_text(json.dumps({**manifest, "schema_version": 99}))
    (places["a changed file"] / "model.onnx").write_bytes(b"changed")
    with (places["a longer file"] / "model.onnx").open("ab") as model:
        model.write(b"longer")
    (places["a file missing"] / "model.onnx").unlink()
    (places["a huge manifest"] / "manifest.json").write_text(" " * (16 * 2**20) + json.dumps(manifest))
    broken = places["a broken engine"] / "model.onnx"
    broken.write_bytes(b"broken")
    spec = manifest["spec"]
    changed = {
        "a wrong field": {"sizes": {"multiple_of": 0}},
        "a field too many": {"extra": 1},
        "an unknown step": {"spec": {**spec, "geometry": [{"kind": "rotate"}]}},
        "a file outside": {"files": {"../model.onnx": manifest["files"]["model.onnx"]}},
        "another engine": {"target": {**manifest["target"], "backend": "quantum"}},
        "colours missing": {"spec": {**spec, "palette": spec["palette"][1:]}},
        "a broken engine": {"files": {"model.onnx": digest(broken).model_dump()}},
    }
    for kind, fields in changed.items():
        _write_sealed(places[kind], {**manifest, **fields})
    _write_sealed(places["a field missing"], {key: value for key, value in manifest.items() if key != "spec"})
    (places["edited"] / "manifest.json").write_text(json.dumps({**manifest, "notes": ["edited"]}))
    return places


def _write_sealed(package: Path, manifest: dict[str, Any]) -> None:
    values = {name: value for name, value in manifest.items() if name != "digest"}
    (package / "manifest.json").write_bytes(seal(json.dumps(values, indent=2)))


def _python_says(package: Path) -> str:
    try:
        with Segmentor(package):
            raise AssertionError(f"{package} opens")
    except SegshipError as error:
        return str(error)


def _without_details(text: str) -> str:
    """A message without what a reader of JSON or an engine's library adds in its own words."""
    text = re.sub(r"is not JSON \(.*\)", "is not JSON", text)
    return re.sub(r"(ONNX Runtime cannot open \S+): .*", r"\1", text)


def check_errors(names: list[str], folder: Path) -> list[str]:
    """Print the errors that differ; the languages that do."""
    wrong = []
    for kind, (arguments, variables, told) in mistakes(folder).items():
        expected = told
        for name in [name for name in names if name != "browser" or kind not in _NOT_IN_A_PAGE]:
            ran = call(name, *arguments, **variables)
            said = ran.told.removeprefix("error: ")
            expected = said if expected is None else expected
            same = _without_details(said) == _without_details(expected)
            if ran.status != 2 or not ran.told.startswith("error: ") or not same:
                print(f"{name}, {kind}: status {ran.status}, {ran.told!r}\n  expected 'error: {expected}'")
                wrong.append(name)
    for name in names:
        ran = call(name)
        if ran.status != 2 or not ran.told.startswith(f"usage: {name} PACKAGE IMAGE.ppm MASK.pgm"):
            print(f"{name}, no arguments: status {ran.status}, {ran.told!r}")
            wrong.append(name)
    return wrong


def check_headers(names: list[str], package: dict[str, Any], folder: Path) -> list[str]:
    """Read an image under other headers that are valid, too; the languages that do not."""
    wrong = []
    image = folder / "header.ppm"
    pixels = (VECTORS / package["image"]["file"]).read_bytes()[-61 * 83 * 3 :]
    comments = b"# " + b"long " * 2000 + b"\n#\n"
    for header in (b"P6\t83\r\n 61 255\n", b"P6 # one\n" + comments + b"83 \n# two\n61\n255 ", b"P6\n083 061\n0255\n"):
        image.write_bytes(header + pixels)
        for name in names:
            cell = compared(name, {**package, "image": {"file": image}}, folder)
            if cell != "equal":
                print(f"{name}, a header of {header[:20]!r}…: {cell}")
                wrong.append(name)
    return wrong


def check_tests(names: list[str]) -> list[str]:
    """Run each language's own tests; the languages where one fails."""
    wrong = []
    for name in names:
        tests = PARTS / name / "tests"
        if not tests.is_file():
            continue
        done = subprocess.run([str(tests)], check=False, capture_output=True, timeout=_SECONDS)
        if done.returncode:
            print(f"{name}: its tests fail\n{(done.stdout + done.stderr).decode(errors='replace')}")
            wrong.append(name)
    return wrong


def check(names: list[str]) -> int:
    """Print the table; the number of languages that differ in a vector or an error."""
    packages = json.loads((VECTORS / "index.json").read_text(encoding="utf-8"))["packages"]
    widest = max(len(package["name"]) for package in packages)
    wrong: list[str] = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        print(" " * widest, *(f"{name:>11}" for name in names))
        for package in packages:
            cells = {name: compared(name, package, folder) for name in names}
            told = [cell if cell == "equal" or cell.endswith("pixels") else "differs" for cell in cells.values()]
            print(f"{package['name']:{widest}}", *(f"{cell:>11}" for cell in told), flush=True)
            for name, cell in cells.items():
                if cell != "equal":
                    print(f"  {name}: {cell}")
                    wrong.append(name)
        wrong += check_errors(names, folder) + check_headers(names, packages[0], folder)
        wrong += check_tests(names) + check_pages(names)
    equal = [name for name in names if name not in wrong]
    print(f"equal to Python in every vector and error: {', '.join(equal) or 'none'}")
    return len(set(wrong))
