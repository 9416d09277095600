"""Checkpoints: pickles that name what runs, that hang or grow; zips and safetensors that lie about themselves."""

from __future__ import annotations

import io
import json
import pickle
import struct
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from inputs.common import Case, damaged, mutations, of_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator

GLOBALS = (
    "os system", "posix system", "os mkdir", "os popen", "subprocess Popen", "subprocess call", "builtins eval",
    "builtins exec", "builtins open", "builtins __import__", "builtins compile", "builtins getattr", "builtins setattr",
    "builtins object", "builtins type", "builtins list", "builtins map", "builtins print", "builtins globals", "__builtin__ eval",
    "__main__ main", "sys exit", "sys modules", "pty spawn", "socket socket", "shutil rmtree", "ctypes CDLL", "code interact",
    "importlib import_module", "runpy run_path", "pickle loads", "torch load", "torch.hub load", "torch.serialization load",
    "torch._utils _rebuild_tensor_v2", "torch._utils _rebuild_parameter", "torch.storage _load_from_bytes", "torch FloatStorage",
    "torch Size", "torch.nn Linear", "torch.jit load", "numpy load", "numpy.core.multiarray _reconstruct", "numpy dtype",
    "numpy.core.multiarray scalar", "numpy.f2py crackfortran", "collections OrderedDict", "collections defaultdict", "collections Counter",
    "functools partial", "operator attrgetter", "operator methodcaller", "copyreg _reconstructor", "_codecs encode", "_codecs decode",
    "codecs decode", "argparse Namespace", "pathlib PosixPath", "datetime datetime", "mmengine.config ConfigDict", "types FunctionType",
    "webbrowser open", "timeit timeit", "logging.config listen", "bdb Bdb", "pip main", "asyncio run", "zipimport zipimporter",
    "a.b.c.d e.f.g", "builtins getattr.__call__", "os system.__call__", "segship cli", "segship.core.files write_atomically",
)  # fmt: skip


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value.encode())) + value.encode()


def name(module: str, attribute: str) -> bytes:
    return f"c{module}\n{attribute}\n".encode()


def number(value: int) -> bytes:
    data = pickle.encode_long(value)
    return b"\x8a" + bytes([len(data)]) + data if len(data) < 256 else b"\x8b" + struct.pack("<i", len(data)) + data


def tensor(
    kind: str = "FloatStorage", key: bytes = text("0"), length: bytes = b"K\x10", offset: bytes = b"K\x00",
    shape: bytes = b"(K\x04K\x04t", stride: bytes = b"(K\x04K\x01t",
) -> bytes:  # fmt: skip
    storage = b"(" + text("storage") + name("torch", kind) + key + text("cpu") + length + b"tQ"
    return name("torch._utils", "_rebuild_tensor_v2") + b"(" + storage + offset + shape + stride + b"\x89}tR"


def archive(data: bytes, **more: bytes) -> bytes:
    """A zip as torch.save writes it."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        made.writestr("a/data.pkl", data)
        made.writestr("a/data/0", bytes(64))
        for entry, content in more.items():
            made.writestr(f"a/{entry}", content)
    return file.getvalue()


def safetensors(header: object, length: int | None = None) -> bytes:
    data = header if isinstance(header, bytes) else json.dumps(header).encode("utf-8", "surrogatepass")
    return struct.pack("<Q", len(data) if length is None else length) + data + bytes(64)


W, END = b"\x80\x02}(" + text("w"), b"u."
COMMAND = text("mkdir EXECUTED")
NUMBERS = (0, 1, -1, 2**31, 2**62, 2**63, 2**64, 2**80, -(2**63), 10**300)
_HEADER = {"__metadata__": {"meta": "{}"}, "w": {"dtype": "F32", "shape": [4, 4], "data_offsets": [0, 64]}}


def _calls() -> Iterator[tuple[str, bytes]]:
    """Every global by every way that a pickle calls something."""
    for each in GLOBALS:
        module, attribute = each.split(" ")
        glob = name(module, attribute)
        stack = (
            b"\x8c"
            + bytes([len(module)])
            + module.encode()
            + b"\x8c"
            + bytes([len(attribute)])
            + attribute.encode()
            + b"\x93"
        )
        ways = {
            "GLOBAL": glob + b"(" + COMMAND + b"tR", "STACK_GLOBAL": stack + b"(" + COMMAND + b"tR", "INST": b"(" + COMMAND + b"i" + glob[1:],
            "OBJ": b"(" + glob + COMMAND + b"o", "NEWOBJ": glob + b"(" + COMMAND + b"t\x81", "NEWOBJ_EX": glob + b"(" + COMMAND + b"t}\x92",
            "BUILD": glob + b"}(" + text("__setstate__") + COMMAND + b"ub", "no call": glob, "a state": glob + b")R" + COMMAND + b"b",
        }  # fmt: skip
        for way, code in ways.items():
            yield f"{each} by {way}", b"\x80\x04" + code + b"0" + W[2:] + tensor() + END


def _tensors() -> Iterator[tuple[str, bytes]]:
    for value in NUMBERS:
        long = number(value)
        for title, data in {
            "length": tensor(length=long), "offset": tensor(offset=long), "key": tensor(key=long), "axis": tensor(shape=b"(" + long + b"K\x04t"),
            "stride": tensor(stride=b"(" + long + b"K\x01t"), "empty axis": tensor(shape=b"(K\x00" + long + b"t"), "shape": tensor(shape=long),
            "axes": tensor(shape=b"(" + long * 70 + b"t", stride=b"(" + long * 70 + b"t"), "no stride": tensor(stride=b")"),
        }.items():  # fmt: skip
            yield f"{title} of {float(value):g}", W + data + END
    for kind in (
        "DoubleStorage",
        "BoolStorage",
        "UntypedStorage",
        "ComplexFloatStorage",
        "QInt8Storage",
        "Tensor",
        "nothing",
    ):
        yield kind, W + tensor(kind) + END
    for value in (
        b"N",
        b"]",
        b"}",
        b")",
        b"G" + struct.pack(">d", float("nan")),
        text("x"),
        b"\x88",
        b"C\x01a",
        name("torch", "Size"),
    ):
        for option in ("key", "length", "offset", "shape", "stride"):
            yield f"{option} is {value[:9]!r}", W + tensor(**{option: value}) + END  # type: ignore[arg-type]


def _nests(start: bytes, end: bytes) -> bytes:
    steps = [start + b"N" * 10 + end + b"q\x01"]
    steps += [start + (b"h" + bytes([k])) * 10 + end + b"q" + bytes([k + 1]) for k in range(1, 40)]
    return b"\x80\x02" + b"0".join(steps) + b"0"


def _bombs() -> Iterator[tuple[str, bytes]]:
    top = b"h\x28"
    for title, start in {
        "lists": _nests(b"](", b"e"),
        "tuples": _nests(b"(", b"t"),
        "sets": b"\x80\x04" + _nests(b"(", b"\x91")[2:],
    }.items():
        for place, data in {
            "alone": top, "a key": b"}" + top + b"Ns", "a shape": b"}" + text("w") + tensor(shape=top) + b"s", "a storage's key": tensor(key=top),
            "an encoding": name("_codecs", "encode") + b"(" + text("a") + top + b"tR", "pairs": name("collections", "OrderedDict") + b"(](" + top + b"etR",
            "meta": b"}(" + text("w") + tensor() + text("meta") + b"}" + text("k") + top + b"su", "a state": name("collections", "OrderedDict") + b")R" + top + b"b",
            "a Size": name("torch", "Size") + b"(" + top + b"tR", "a set": name("builtins", "set") + b"(" + top + b"tR", "an item": b"](" + top + b"e",
            "an argument": name("torch", "Tensor") + b"(" + top + b"tR", "a dtype": name("numpy", "dtype") + b"(" + top + b"tR",
            "a Counter": name("collections", "Counter") + b"(" + top + b"tR", "a config": name("mmengine.config", "ConfigDict") + b"(" + top + b"tR",
        }.items():  # fmt: skip
            yield f"{title} of lists as {place}", start + data + b"."
    many = b"\x80\x02](" + b"N" * 1_000_000 + b"eq\x01"
    for kind in (
        "torch Size",
        "builtins set",
        "builtins frozenset",
        "collections Counter",
        "collections OrderedDict",
        "mmengine.config ConfigDict",
    ):
        yield f"copies as {kind}", many + (name(*kind.split(" ")) + b"(h\x01tR") * 2000 + b"."
    yield (
        "encoded copies",
        b"\x80\x02"
        + text("a" * 2_000_000)
        + b"q\x01"
        + (name("_codecs", "encode") + b"(h\x01" + text("latin1") + b"tR") * 3000
        + b".",
    )
    for title, unit, end in (("sets", b"\x8f", b""), ("dictionaries", b"}", b""), ("marks", b"(", b""), ("lists", b"]", b""), ("nones", b"N", b""),
                             ("tuples", b")", b""), ("deep lists", b"](", b""), ("deep tuples", b"(", b"t" * 999_999), ("copies", b"2", b"")):  # fmt: skip
        yield f"millions of {title}", b"\x80\x04N" + unit * 1_000_000 + end + b"."
    keys = b"".join(number(k * (2**61 - 1)) + b"N" for k in range(1, 30_000))
    yield "keys of one hash", b"\x80\x02}(" + keys + b"u."
    yield (
        "tuples of one hash",
        b"\x80\x02}(" + b"".join(number(k * (2**61 - 1)) + b"\x85N" for k in range(1, 30_000)) + b"u.",
    )
    yield "an endless memo", b"\x80\x04N" + b"\x94" * 1_000_000 + b"."
    yield "a far memo", b"\x80\x02Nr\xff\xff\xff\x7f."
    for code, size in (
        (b"B", 4),
        (b"T", 4),
        (b"X", 4),
        (b"\x8e", 8),
        (b"\x8d", 8),
        (b"\x96", 8),
        (b"\x95", 8),
        (b"\x8b", 4),
    ):
        yield f"{code!r} of more than there is", b"\x80\x05" + code + b"\xff" * (size - 1) + b"\x7f" + b"abc."
    yield "a long of 10 million bytes", b"\x80\x02\x8b" + struct.pack("<i", 10**7) + b"\x7f" * 10**7 + b"."
    yield "digits", b"\x80\x02L" + b"9" * 1_000_000 + b"L\n."
    yield "digits of an int", b"I" + b"9" * 1_000_000 + b"\n."
    yield (
        "an array of no numbers",
        W
        + tensor()
        + text("meta")
        + b"}"
        + text("k")
        + name("numpy.core.multiarray", "_reconstruct")
        + b"(NNNtR(K\x01("
        + number(10**8)
        + b"K\x00t"
        + name("numpy", "dtype")
        + b"("
        + text("f4")
        + b"tR\x89C\x00tbs"
        + END,
    )


def _zips() -> Iterator[tuple[str, bytes]]:
    good = archive(W + tensor() + END)
    for entry in ("../x", "/x", "constants.pkl", "byteorder", "version", "data/1", "b/data.pkl", "data.pkl/", "data/0"):
        file = io.BytesIO(good)
        with zipfile.ZipFile(file, "a") as made:
            made.writestr(f"a/{entry}", b"x" * 99)
        yield f"with {entry}", file.getvalue()
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("a/data.pkl", bytes(200_000_000))
    yield "a compressed bomb", file.getvalue()
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        for entry in range(30_000):
            made.writestr(f"a/data/{entry}", b"")
    yield "many entries", file.getvalue()
    shared = b"".join(text(f"w{n}") + tensor(key=text(str(n))) for n in range(20_000))
    yield "many storages", archive(b"\x80\x02}(" + shared + END)
    yield (
        "many tensors of one storage",
        archive(b"\x80\x02}(" + b"".join(text(f"w{n}") + tensor() for n in range(50_000)) + END),
    )
    for field, at in (
        ("size", 22),
        ("compressed size", 18),
        ("name length", 26),
        ("flags", 6),
        ("method", 8),
        ("crc", 14),
    ):
        for value in (b"\xff\xff", b"\x00\x00", b"\x7f\xff"):
            yield f"{field} {value!r}", good[:at] + value + good[at + 2 :]
    directory = good.index(b"PK\x01\x02")
    for at in range(4, 46, 2):
        yield f"directory at {at}", good[: directory + at] + b"\xff\xff" + good[directory + at + 2 :]


def _headers() -> Iterator[tuple[str, bytes]]:
    for title, tree in mutations(_HEADER, 150):
        yield title, safetensors(tree)
    for dtype in ("F8_E4M3", "F64", "BOOL", "U64", "f32", "", "C64"):
        yield dtype, safetensors({"w": {"dtype": dtype, "shape": [8], "data_offsets": [0, 64]}})
    yield "many axes", safetensors({"w": {"dtype": "F32", "shape": [1] * 200_000, "data_offsets": [0, 4]}})
    yield "a product", safetensors({"w": {"dtype": "F32", "shape": [0] + [2**40] * 9, "data_offsets": [0, 0]}})
    yield (
        "many tensors",
        safetensors({f"{n}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for n in range(99_000)}),
    )
    yield (
        "more tensors",
        safetensors({f"{n}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for n in range(300_000)}),
    )
    yield "brackets", safetensors(b'{"w":' + b"[" * 100_000)
    yield "brackets, closed", safetensors(b'{"w":' + b"[" * 900 + b"]" * 900 + b"}")
    yield "twice", safetensors(b'{"w":{"dtype":"F32","shape":[4],"data_offsets":[0,16]},"w":1}')
    yield "digits", safetensors(b'{"w":{"dtype":"F32","shape":[' + b"9" * 100_000 + b'],"data_offsets":[0,64]}}')
    for length in (0, 1, 7, 2**31, 2**63, 2**64 - 1):
        yield f"a header of {length}", safetensors(_HEADER, length)


def cases() -> Iterator[Case]:
    """All of them."""
    for title, data in (*_calls(), *_tensors(), *_bombs()):
        yield of_bytes(title, "x.pth", archive(data))
    for title, data in _zips():
        yield of_bytes(title, "x.pth", data)
    for title, data in _headers():
        yield of_bytes(title, "x.safetensors", data)
    legacy = b"".join(pickle.dumps(each, 2) for each in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}))
    old = legacy + W + tensor() + END + pickle.dumps(["0"], 2) + struct.pack("<q", 16) + bytes(64)
    for title, data in damaged(old, 80):
        yield of_bytes(f"older: {title}", "x.pth", data)
    for each in GLOBALS[:20]:
        yield of_bytes(
            f"older: {each}", "x.pth", legacy + b"\x80\x02" + name(*each.split(" ")) + b"(" + COMMAND + b"tR."
        )
    for title, data in damaged(archive(W + tensor() + END), 120, 1):
        yield of_bytes(title, "x.pth", data)
    for title, data in damaged(safetensors(_HEADER), 80, 2):
        yield of_bytes(title, "x.safetensors", data)


def read(path: Path) -> None:
    """Read a checkpoint."""
    from segship.reading.checkpoint import read_checkpoint

    read_checkpoint(path)
