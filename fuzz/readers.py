"""The ten readers that are fuzzed: each takes the bytes of a file; and files that are right, to start from."""

from __future__ import annotations

import io
import json
import os
import pickle
import struct
import sys
from pathlib import Path
from typing import TYPE_CHECKING

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "src")]

if TYPE_CHECKING:
    from collections.abc import Callable

_MEMORY = Path("/dev/shm")  # noqa: S108 - a file that is written a thousand times a second
_PLACE = (_MEMORY if _MEMORY.is_dir() else Path("/tmp")) / f"segship-fuzz-{os.getpid()}"  # noqa: S108


def _file(name: str, data: bytes) -> Path:
    _PLACE.mkdir(exist_ok=True)
    path = _PLACE / name
    path.write_bytes(data)
    return path


def _config(data: bytes) -> None:
    from segship.reading.configs.config import read_config

    read_config(_file("c.py", data))


def _pickle(data: bytes) -> None:
    from segship.reading.pickles import unpickle

    unpickle(io.BytesIO(data), what="x")


def _checkpoint(data: bytes) -> None:
    from segship.reading.checkpoint import read_checkpoint

    read_checkpoint(_file("x.pth", data))


def _safetensors(data: bytes) -> None:
    from segship.reading.checkpoint import read_checkpoint

    read_checkpoint(_file("x.safetensors", data))


def _manifest(data: bytes) -> None:
    from inputs.manifests import sealed
    from segship.core.manifest import read_manifest

    try:
        text = sealed(json.loads(data))
    except (ValueError, RecursionError, AttributeError, TypeError):
        text = data
    read_manifest(_file("manifest.json", text).parent)


def _description(data: bytes) -> None:
    from inputs.documents import read

    read(_file("x.yaml", data))


def _onnx(data: bytes) -> None:
    from inputs.onnx_models import read

    read(_file("m.onnx", data))


def _openvino(data: bytes) -> None:
    from segship.backends.openvino import inspect

    _file("m.bin", bytes(36))
    inspect(_file("m.xml", data))


def _image(data: bytes) -> None:
    from segship.vision.decode import read_image, read_labels

    _each(lambda: read_image(data), lambda: read_labels(_file("x.png", data)))


def _bands(data: bytes) -> None:
    from segship.vision.bands import read_stored

    _each(lambda: read_stored(data, 3), lambda: read_stored(_file("x.npy", data), 5))


def _each(*readers: Callable[[], object]) -> None:
    from segship.core.errors import SegshipError

    for reader in readers:
        try:
            reader()
        except SegshipError:
            continue


READERS: dict[str, Callable[[bytes], None]] = {
    "config": _config, "pickle": _pickle, "checkpoint": _checkpoint, "safetensors": _safetensors, "manifest": _manifest,
    "description": _description, "onnx": _onnx, "openvino": _openvino, "image": _image, "bands": _bands,
}  # fmt: skip
"""By name."""


def seeds(reader: str) -> list[bytes]:
    """Files that a reader takes, small."""
    return _SEEDS[reader]()


def _config_seeds() -> list[bytes]:
    from inputs.configs import MODEL, WHOLE

    return [MODEL.encode(), b"x = [i * 2 for i in range(3)]\ny = f'{x}'\nz = dict(a=1, **dict(b=2))\nz.update(c=x[0])\n",
            *(text.encode() for _, text in WHOLE if len(text) < 300)]  # fmt: skip


def _pickle_seeds() -> list[bytes]:
    from inputs.checkpoints import END, W, tensor

    values = {"meta": {"epoch": 1, "classes": ("a", "b")}, "lr": [0.1, None, True, 2**70], "b": b"x", "s": {1, 2}}
    return [W + tensor() + END, *(pickle.dumps(values, protocol) for protocol in range(6))]


def _checkpoint_seeds() -> list[bytes]:
    from inputs.checkpoints import END, W, archive, tensor

    old = b"".join(pickle.dumps(each, 2) for each in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}))
    data = W + tensor() + END
    return [archive(data), old + data + pickle.dumps(["0"], 2) + struct.pack("<q", 16) + bytes(64)]


def _safetensors_seeds() -> list[bytes]:
    from inputs.checkpoints import safetensors

    return [
        safetensors({"w": {"dtype": kind, "shape": [2, 2], "data_offsets": [0, 4 * size]}})
        for kind, size in (("F32", 4), ("I8", 1))
    ]


def _manifest_seeds() -> list[bytes]:
    from inputs.manifests import package

    return [(package() / "manifest.json").read_bytes()]


def _description_seeds() -> list[bytes]:
    import yaml

    from inputs.documents import DESCRIPTION, TEXTS

    return [
        yaml.safe_dump(DESCRIPTION).encode(),
        *(text.encode() for _, text in TEXTS if len(text) < 300 and "ud800" not in text),
    ]


def _onnx_seeds() -> list[bytes]:
    from inputs.onnx_models import _functions, _ifs, plain

    return [plain(), _functions(2, 2), _ifs(2)]


def _openvino_seeds() -> list[bytes]:
    from inputs.openvino_models import XML

    return [XML.encode()]


def _image_seeds() -> list[bytes]:
    import numpy as np

    from inputs.images import encoded

    grey = np.arange(64, dtype=np.uint8).reshape(8, 8)
    return [
        encoded(kind, picture)
        for kind in ("PNG", "JPEG", "TIFF", "BMP", "WEBP")
        for picture in (grey, np.stack([grey] * 3, 2))
    ]


def _bands_seeds() -> list[bytes]:
    import zlib

    from inputs.images import npy, tags, tiff

    strip = zlib.compress(bytes(64))
    shapes = ("(4, 4, 3)", "(3, 4, 4)", "(2, 2, 5)")
    arrays = [npy(f"{{'descr': '<u2', 'fortran_order': False, 'shape': {shape}, }}".encode()) for shape in shapes]
    return [*arrays, tiff([tags(8, 8, len(strip))], strip), tiff([tags(8, 8, len(strip))], strip, big=True)]


_SEEDS: dict[str, Callable[[], list[bytes]]] = {
    "config": _config_seeds, "pickle": _pickle_seeds, "checkpoint": _checkpoint_seeds, "safetensors": _safetensors_seeds,
    "manifest": _manifest_seeds, "description": _description_seeds, "onnx": _onnx_seeds, "openvino": _openvino_seeds,
    "image": _image_seeds, "bands": _bands_seeds,
}  # fmt: skip
