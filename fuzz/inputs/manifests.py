"""Packages: every value of the manifest in the place of which another stands, and damaged files."""

from __future__ import annotations

import functools
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from inputs.common import Case, damaged, mutations, nested
from inputs.onnx_models import plain

if TYPE_CHECKING:
    from collections.abc import Iterator

_MANIFEST = "manifest.json"
_DESCRIPTION = {
    "classes": ["road", "wall", "sky"], "normalization": {"mean": [1, 2, 3], "std": [4, 5, 6]},
    "geometry": [{"kind": "resize", "height": 32, "width": 48}], "slide": {"crop": [32, 32], "stride": [16, 16]},
}  # fmt: skip


@functools.cache
def package() -> Path:
    """A small package, made once; in a child of its own, as an engine's threads do not survive a fork."""
    folder = Path(tempfile.mkdtemp(prefix="segship-package-"))
    child = os.fork()
    if child == 0:
        status = 1
        try:
            from segship import Source, export

            (folder / "m.onnx").write_bytes(plain())
            export(Source(folder / "m.onnx", spec=_DESCRIPTION), folder / "package")
            status = 0
        finally:
            os._exit(status)
    if os.waitpid(child, 0)[1]:
        raise RuntimeError("the package that is to be damaged could not be made")
    return folder / "package"


def sealed(manifest: Any) -> bytes:
    """A manifest with the digest of itself that belongs to it, so that what it says is read."""
    from segship.core.manifest import seal

    if isinstance(manifest, dict):
        manifest = {key: value for key, value in manifest.items() if key != "digest"}
    return seal(json.dumps(manifest, indent=2))


def _of(title: str, change: Any) -> Case:
    def write(folder: Path) -> Path:
        made = shutil.copytree(package(), folder / "package")
        change(made)
        return made

    return Case(title, write)


def _with_text(title: str, text: str | bytes) -> Case:
    data = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
    return _of(title, lambda folder: (folder / _MANIFEST).write_bytes(data))


def cases() -> Iterator[Case]:
    """All of them."""
    text = (package() / _MANIFEST).read_text()
    manifest = json.loads(text)
    for title, tree in mutations(manifest, 450):
        yield _with_text(title, sealed(tree))
    for title, data in damaged(text.encode(), 60):
        yield _with_text(title, data)
    for title, data in {"brackets": nested(100_000), "deep": nested(900), "a number": "5", "nothing": "", "digits": '{"a":' + "9" * 100_000 + "}", "a list": "[]",
                        "keys": json.dumps({f"k{n}": n for n in range(200_000)}), "big": json.dumps(manifest | {"notes": ["x" * 9999] * 3000})}.items():  # fmt: skip
        yield _with_text(title, data)
    model = (package() / "model.onnx").read_bytes()
    for title, data in damaged(model, 40):
        yield _of(f"model: {title}", lambda folder, data=data: (folder / "model.onnx").write_bytes(data))
    for name in (_MANIFEST, "model.onnx"):
        for title, put in (("a fifo", os.mkfifo), ("a device", lambda path: path.symlink_to("/dev/zero")), ("a link out", lambda path: path.symlink_to("/etc/passwd")),
                           ("a folder", lambda path: path.mkdir()), ("nothing", lambda _: None)):  # fmt: skip

            def change(folder: Path, name: str = name, put: Any = put) -> None:
                (folder / name).unlink()
                put(folder / name)

            yield _of(f"{name} is {title}", change)


def read(path: Path) -> None:
    """Open a package, tell what it is, and run it on an image."""
    from segship import Segmentor

    segmentor = Segmentor(path)
    segmentor(np.zeros((40, 56, 3), np.uint8))
    segmentor.scores(np.zeros((40, 56, 3), np.uint8))
