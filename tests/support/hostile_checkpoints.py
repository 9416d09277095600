"""Checkpoints made to hang a reader, to fill its memory or to let a traceback out; run as a script, reads them all.

``python -m support.hostile_checkpoints FOLDER`` prints a JSON object: for each name how the reading ended, its seconds,
and under ``"megabytes"`` the greatest growth of the process.
"""

from __future__ import annotations

import json
import pickle
import resource
import signal
import struct
import sys
import time
import zipfile
from pathlib import Path

from segship.core.errors import SegshipError

SECONDS = 5


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def name(module: str, attribute: str) -> bytes:
    return f"c{module}\n{attribute}\n".encode()


def number(value: int) -> bytes:
    data = pickle.encode_long(value)
    return b"\x8a" + bytes([len(data)]) + data


def call(module: str, attribute: str, arguments: bytes) -> bytes:
    return name(module, attribute) + b"(" + arguments + b"tR"


def tensor(
    *, key: bytes = text("0"), length: bytes = b"K\x10", shape: bytes = b"K\x04K\x04", stride: bytes = b"K\x04K\x01"
) -> bytes:
    storage = b"(" + text("storage") + name("torch", "FloatStorage") + key + text("cpu") + length + b"tQ"
    return call("torch._utils", "_rebuild_tensor_v2", storage + b"K\x00(" + shape + b"t(" + stride + b"t\x89}")


def array(kind: str, shape: bytes, data: bytes) -> bytes:
    """An array as NumPy pickles it."""
    dtype = call("numpy", "dtype", text(kind))
    state = b"(K\x01(" + shape + b"t" + dtype + b"\x89B" + struct.pack("<I", len(data)) + data + b"t"
    return call("numpy.core.multiarray", "_reconstruct", b"NNN") + state + b"b"


def nested(start: bytes, end: bytes, depth: int = 39, width: int = 10) -> bytes:
    """Containers that hold the one before ``width`` times: a few bytes, 10**39 values where somebody walks them."""
    steps = [start + b"N" * width + end + b"q\x01"]
    steps += [start + (b"h" + bytes([k])) * width + end + b"q" + bytes([k + 1]) for k in range(1, depth + 1)]
    return b"\x80\x02" + b"0".join(steps) + b"0"


LISTS, TUPLES, TOP = nested(b"](", b"e"), nested(b"(", b"t"), b"h\x28"
MANY = b"\x80\x02](" + b"N" * 2_000_000 + b"eq\x01"
W, END = b"}" + text("w"), b"s."
META = b"\x80\x03}(" + text("w") + tensor() + text("meta") + b"}" + text("k")
INTEGERS = b"".join(number(k) + b"N" for k in range(100_000))
OF_ONE_HASH = b"".join(number(k * (2**61 - 1)) + b"N" for k in range(1, 40_000))
ENCODED = call("_codecs", "encode", b"h\x01" + text("latin1"))
PICKLES = {
    "lists as an encoding": LISTS + call("_codecs", "encode", text("a") + TOP) + b".",
    "lists as a shape": LISTS + W + tensor(shape=TOP, stride=b"K\x01") + END,
    "lists as a storage's name": LISTS + W + tensor(key=TOP) + END,
    "lists as a key": LISTS + b"}" + TOP + b"Ns.",
    "tuples as a key": TUPLES + b"}" + TOP + b"Ns.",
    "tuples as a key of pairs": TUPLES + call("collections", "OrderedDict", b"](](" + TOP + b"Nee") + b".",
    "a long tuple as a key again and again": b"\x80\x02(" + b"N" * 100_000 + b"tq\x01}" + b"h\x01Ns" * 100_000 + b".",
    "copies of a list": MANY + call("torch", "Size", b"h\x01") * 500 + b".",
    "copies as sets": MANY + call("builtins", "set", b"h\x01") * 500 + b".",
    "copies of a text": b"\x80\x02" + text("a" * 4_000_000) + b"q\x01" + ENCODED * 2000 + b".",
    "copies of a dictionary": b"\x80\x02}("
    + INTEGERS
    + b"uq\x01"
    + call("mmengine.config", "ConfigDict", b"h\x01") * 5000
    + b".",
    "millions of sets": b"\x80\x04" + b"\x8f" * 7_900_000 + b".",
    "integer keys of one hash": b"\x80\x02}(" + OF_ONE_HASH + b"u.",
    "an array of no numbers and many lists": META + array("f4", number(10**8) + b"K\x00", b"") + b"su.",
    "one array noted many times": META
    + b"]("
    + array("u1", number(2**15), bytes(2**15))
    + b"q\x05"
    + b"h\x05" * 100_000
    + b"esu.",
    "a dictionary whose methods the file replaces": b"\x80\x02"
    + call("collections", "OrderedDict", b"")
    + b"("
    + text("w")
    + tensor()
    + b"u}"
    + text("items")
    + text("x")
    + b"sb.",
    "sizes beyond 63 bits": b"\x80\x02" + W + tensor(shape=b"K\x00" + number(2**80), stride=b"K\x01K\x01") + END,
    "a storage of a hundred digits": b"\x80\x02" + W + tensor(length=number(10**100)) + END,
    "more axes than torch has": b"\x80\x02" + W + tensor(shape=b"K\x01" * 70, stride=b"K\x01" * 70) + END,
}
HEADERS = {
    "many axes": json.dumps({"w": {"dtype": "F32", "shape": [1] * 200_000, "data_offsets": [0, 4]}}),
    "an infinite axis": '{"w":{"dtype":"F32","shape":[Infinity],"data_offsets":[0,64]}}',
    "an axis beyond 63 bits": json.dumps({"w": {"dtype": "F32", "shape": [0, 2**80], "data_offsets": [0, 0]}}),
    "a product beyond 63 bits": json.dumps({"w": {"dtype": "F32", "shape": [0] + [2**40] * 5, "data_offsets": [0, 0]}}),
    "a shape of truths": '{"w":{"dtype":"F32","shape":[true, 16],"data_offsets":[0,64]}}',
    "many tensors": json.dumps(
        {f"{n}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for n in range(300_000)}
    ),
}


def files(folder: Path) -> dict[str, Path]:
    """Write all of them."""
    made = {}
    for number_, (title, content) in enumerate(PICKLES.items()):
        made[title] = folder / f"{number_}.pth"
        with zipfile.ZipFile(made[title], "w") as archive:
            archive.writestr("a/data.pkl", content)
            archive.writestr("a/data/0", bytes(64))
    for number_, (title, header) in enumerate(HEADERS.items()):
        made[f"safetensors: {title}"] = folder / f"{number_}.safetensors"
        made[f"safetensors: {title}"].write_bytes(struct.pack("<Q", len(header)) + header.encode() + bytes(64))
    return made


def refuse(*_: object) -> None:
    raise TimeoutError


def main() -> None:
    from segship.reading.checkpoint import read_checkpoint

    made = files(Path(sys.argv[1]))
    signal.signal(signal.SIGPROF, refuse)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    ends: dict[str, object] = {}
    for title, path in made.items():
        start = time.process_time()
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        try:
            read_checkpoint(path)
            end = "read"
        except SegshipError as error:
            end = "read" if "\n" in str(error) else "refused"
        except BaseException as error:  # noqa: BLE001 - what it is, is the result
            end = repr(error)[:200]
        signal.setitimer(signal.ITIMER_PROF, 0)
        ends[title] = [end, round(time.process_time() - start, 1)]
    ends["megabytes"] = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024
    print(json.dumps(ends))  # noqa: T201


if __name__ == "__main__":
    main()
