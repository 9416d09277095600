"""segship.h through ctypes, as a program in another language calls it."""

from __future__ import annotations

import ctypes
import json
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from segship.core.spec import ModelSpec, SizeRule

__all__ = [
    "DTYPES",
    "ERRORS",
    "Image",
    "Library",
    "NativeError",
    "Segmentor",
    "Spec",
    "as_image",
    "manifest_text",
    "pointer",
]

DTYPES = {"uint8": 0, "uint16": 1, "float32": 2, "int32": 3, "int64": 4}
ERRORS = ("", "input", "size", "package", "backend", "missing", "unsupported", "memory", "internal")


class NativeError(Exception):
    """What segship_last_error says; ``kind`` is one of `ERRORS`."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.kind = ERRORS[status]


class Image(ctypes.Structure):
    """segship_image."""

    _fields_ = (
        ("data", ctypes.c_void_p),
        ("row_stride", ctypes.c_int64),
        ("height", ctypes.c_int32),
        ("width", ctypes.c_int32),
        ("channels", ctypes.c_int32),
        ("order", ctypes.c_int32),
        ("dtype", ctypes.c_int32),
    )


class Tensor(ctypes.Structure):
    """segship_tensor."""

    _fields_ = (
        ("data", ctypes.c_void_p),
        ("bytes", ctypes.c_int64),
        ("dtype", ctypes.c_int32),
        ("windows", ctypes.c_int32),
        ("channels", ctypes.c_int32),
        ("height", ctypes.c_int32),
        ("width", ctypes.c_int32),
    )


class Plan(ctypes.Structure):
    """segship_plan."""

    _fields_ = (
        *((name, ctypes.c_int32) for name in ("windows", "channels", "height", "width", "dtype", "decided")),
        *((name, ctypes.c_int64) for name in ("input_bytes", "mask_bytes", "scores_bytes")),
    )


class Options(ctypes.Structure):
    """segship_options."""

    _fields_ = (
        ("struct_size", ctypes.c_uint32),
        ("threads", ctypes.c_int32),
        ("max_pixels", ctypes.c_int64),
        ("runtime", ctypes.c_char_p),
        ("device", ctypes.c_char_p),
    )


class Library:
    """A loaded libsegship.

    Args:
        path: The shared library.
    """

    def __init__(self, path: Path) -> None:
        self.c = ctypes.CDLL(str(path))
        self.c.segship_last_error.restype = ctypes.c_char_p
        self.c.segship_version.restype = ctypes.c_uint32
        for name in ("class_name", "backend", "engine_file", "input_name", "output_name"):
            self._returns_text(f"segship_{name}")
        if hasattr(self.c, "segship_open"):
            self._returns_text("segship_segmentor_engine")
            self.c.segship_segmentor_spec.restype = ctypes.c_void_p

    def _returns_text(self, name: str) -> None:
        getattr(self.c, name).restype = ctypes.c_char_p

    def call(self, name: str, *arguments: Any) -> None:
        """Call a function that returns a status.

        Raises:
            NativeError: The status is not SEGSHIP_OK.
        """
        function: Callable[..., int] = getattr(self.c, f"segship_{name}")
        status = function(*arguments)
        if status:
            raise NativeError(status, self.c.segship_last_error().decode())

    def spec(self, text: str) -> Spec:
        """Read a manifest."""
        return Spec(self, text)


class Spec:
    """segship_spec, and the pieces that it drives.

    Args:
        library: Where its functions are.
        text: A manifest's.
    """

    def __init__(self, library: Library, text: str) -> None:
        self._library = library
        self._handle = ctypes.c_void_p()
        data = text.encode()
        library.call("spec_parse", data, ctypes.c_size_t(len(data)), ctypes.byref(self._handle))

    def __del__(self) -> None:
        self._library.c.segship_spec_free(self._handle)

    @property
    def handle(self) -> ctypes.c_void_p:
        """The C handle."""
        return self._handle

    def plan(self, height: int, width: int) -> Plan:
        """segship_plan_image."""
        plan = Plan()
        self._library.call("plan_image", self._handle, height, width, ctypes.byref(plan))
        return plan

    def prepare(self, image: NDArray[Any], order: str = "rgb") -> NDArray[Any]:
        """segship_prepare: (windows, channels, height, width)."""
        plan = self.plan(*image.shape[:2])
        shape: tuple[int, ...] = (plan.windows, plan.channels, plan.height, plan.width)
        if plan.dtype == DTYPES["uint8"]:
            shape = (plan.height, plan.width, plan.channels)
        out = np.full(shape, 77, np.uint8 if plan.dtype == DTYPES["uint8"] else np.float32)
        assert out.nbytes == plan.input_bytes
        self._library.call(
            "prepare", self._handle, ctypes.byref(as_image(image, order)), pointer(out), ctypes.c_size_t(out.nbytes)
        )
        return out

    def decide(self, size: tuple[int, int], output: NDArray[Any]) -> NDArray[Any]:
        """segship_decide."""
        kind = np.uint8 if self._library.c.segship_label_bytes(self._handle) == 1 else np.uint16
        mask = np.full(size, 99, kind)
        self._library.call("decide", self._handle, *size, *_tensor(output), pointer(mask), ctypes.c_size_t(mask.nbytes))
        return mask

    def scores(self, size: tuple[int, int], output: NDArray[Any]) -> NDArray[Any]:
        """segship_decide_scores."""
        scores = np.full((self._library.c.segship_score_channels(self._handle), *size), -1, np.float32)
        room = ctypes.c_size_t(scores.nbytes)
        self._library.call("decide_scores", self._handle, *size, *_tensor(output), pointer(scores), room)
        return scores

    def overlay(self, image: NDArray[Any], mask: NDArray[Any], opacity: float, order: str = "rgb") -> NDArray[Any]:
        """segship_overlay."""
        out = np.zeros((*image.shape[:2], 3), np.uint8)
        self._library.call(
            "overlay",
            self._handle,
            ctypes.byref(as_image(image, order)),
            pointer(mask),
            ctypes.c_size_t(mask.nbytes),
            ctypes.c_double(opacity),
            pointer(out),
            ctypes.c_size_t(out.nbytes),
        )
        return out


def pointer(array: NDArray[Any]) -> ctypes.c_void_p:
    """Address of an array's first number."""
    return ctypes.c_void_p(array.ctypes.data)


def as_image(array: NDArray[Any], order: str = "rgb") -> Image:
    """An array as segship_image; it must outlive it."""
    channels = 1 if array.ndim == 2 else array.shape[2]
    kind = DTYPES[array.dtype.name]
    return Image(array.ctypes.data, array.strides[0], *array.shape[:2], channels, {"rgb": 0, "bgr": 1}[order], kind)


def _tensor(output: NDArray[Any]) -> tuple[Any, ...]:
    output = np.ascontiguousarray(output)
    windows, channels, height, width = output.shape
    tensor = Tensor(output.ctypes.data, output.nbytes, DTYPES[output.dtype.name], windows, channels, height, width)
    tensor.keep = output  # type: ignore[attr-defined]
    return (ctypes.byref(tensor),)


def manifest_text(spec: ModelSpec, sizes: SizeRule | None = None, **fields: Any) -> str:
    """The metadata of a lone file, which is all that the pieces need."""
    data: dict[str, Any] = {"schema_version": 1, "spec": json.loads(spec.model_dump_json())} | fields
    if sizes is not None:
        data["sizes"] = json.loads(sizes.model_dump_json())
    return json.dumps(data)


class Segmentor:
    """segship_segmentor.

    Args:
        library: Where its functions are.
        package: Folder of a package.
        runtime: The engine's library or its folder.
        threads, max_pixels, device: As in segship_options.
    """

    def __init__(
        self,
        library: Library,
        package: Path,
        *,
        runtime: str | None = None,
        threads: int = 0,
        max_pixels: int = 0,
        device: str | None = None,
    ) -> None:
        self._library = library
        self._handle = ctypes.c_void_p()
        options = Options()
        library.c.segship_options_init(ctypes.byref(options))
        options.threads, options.max_pixels = threads, max_pixels
        options.runtime = None if runtime is None else runtime.encode()
        options.device = None if device is None else device.encode()
        library.call("open", str(package).encode(), ctypes.byref(options), ctypes.byref(self._handle))

    def __del__(self) -> None:
        self._library.c.segship_close(self._handle)

    @property
    def engine(self) -> str:
        """segship_segmentor_engine."""
        text: bytes = self._library.c.segship_segmentor_engine(self._handle)
        return text.decode()

    @property
    def _spec(self) -> ctypes.c_void_p:
        return ctypes.c_void_p(self._library.c.segship_segmentor_spec(self._handle))

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of all classes."""
        count = self._library.c.segship_classes(self._spec)
        return tuple(self._library.c.segship_class_name(self._spec, label).decode() for label in range(count))

    @property
    def palette(self) -> tuple[tuple[int, ...], ...]:
        """Colours of all classes."""
        count = self._library.c.segship_classes(self._spec)
        colors = (self._library.c.segship_class_color(self._spec, label) for label in range(count))
        return tuple((color >> 16, color >> 8 & 255, color & 255) for color in colors)

    def mask(self, image: NDArray[Any], order: str = "rgb") -> NDArray[Any]:
        """segship_mask."""
        kind = np.uint8 if self._library.c.segship_label_bytes(self._spec) == 1 else np.uint16
        mask = np.full(image.shape[:2], 99, kind)
        room = ctypes.c_size_t(mask.nbytes)
        self._library.call("mask", self._handle, ctypes.byref(as_image(image, order)), pointer(mask), room)
        return mask

    def scores(self, image: NDArray[Any], order: str = "rgb") -> NDArray[Any]:
        """segship_scores."""
        scores = np.full((self._library.c.segship_score_channels(self._spec), *image.shape[:2]), -1, np.float32)
        room = ctypes.c_size_t(scores.nbytes)
        self._library.call("scores", self._handle, ctypes.byref(as_image(image, order)), pointer(scores), room)
        return scores
