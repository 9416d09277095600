"""What the stages hand to one another: Graph, Engine, Session, and the backend's description of itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

from segship.core.spec import Frozen

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from segship.core.target import Target

__all__ = [
    "Backend",
    "BackendInfo",
    "Device",
    "Engine",
    "FileBackend",
    "Graph",
    "GraphFormat",
    "Session",
    "TensorInfo",
    "shapes_of",
]

GraphFormat = Literal["onnx", "pt2", "torchscript", "openvino"]


class TensorInfo(Frozen):
    """Name, element type and shape of an input or output.

    Attributes:
        name: As the engine calls it.
        dtype: NumPy's name of the type: ``"float32"``.
        shape: Sizes; a name where the size is dynamic: ``("batch", 3, "height", "width")``.
    """

    name: str
    dtype: str
    shape: tuple[int | str, ...]

    @property
    def is_whole(self) -> bool:
        """Whether its elements are whole numbers: of an output, labels rather than scores."""
        return self.dtype.startswith(("int", "uint"))


@dataclass(frozen=True)
class Graph:
    """One portable file: normalised float32 (N, C, H, W) in, low-resolution logits (N, K, h, w) out.

    Attributes:
        path: The file.
        format: ``"onnx"``, ``"pt2"``, ``"torchscript"``, or ``"openvino"`` for what comes as OpenVINO's own.
        inputs, outputs: Their names, types and shapes.
        metadata: What is written into the file, and into the engine's where its format has room for it.
    """

    path: Path
    format: GraphFormat
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Engine:
    """The files one backend runs.

    Attributes:
        directory: Where they lie.
        files: Their names; the first is the one to open.
        inputs, outputs: Their names, types and shapes.
        options: What the backend wants to remember for ``open``; JSON types only.
    """

    directory: Path
    files: tuple[str, ...]
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    options: Mapping[str, Any] = field(default_factory=dict)


class Session(Protocol):
    """An opened engine."""

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
        """Compute the outputs.

        Args:
            feeds: An array for each input, by name.

        Returns:
            float32 array of each output, by name.

        Raises:
            BackendError: The engine refuses the input.
        """


@dataclass(frozen=True)
class BackendInfo:
    """What a backend is able to do, as data: the support tables are made from it.

    Attributes:
        title: For people: ``"ONNX Runtime"``.
        graph: The format it converts from.
        precisions: The ones it builds.
        lowered: Those of them that Segship makes: they are in the graph before it is converted, or, of int8, in what
            the quantizer makes.
        quantizer: The module of ``segship.quantize`` that makes int8 for it, where int8 is among ``lowered``.
        dynamic: Whether height, width and batch may stay free.
        extra: Extra of Segship's distribution that installs it; empty for the base install.
        modules: Modules it imports.
        gaps: What it cannot do, with the reason.
        suffixes: Names of lone files that it opens end in one of these; it then has ``inspect`` (see `FileBackend`).
        runs_code: Why opening one of its engines runs code that the file carries; empty: its files are data.
        symmetric: Whether its int8 has no zero points, in eight bits for weights too.
        opset: The newest version of ONNX's operators it surely reads; None: whatever Segship writes.
        reads: Formats it converts from besides, for networks that come in one of them and can leave it for no other.
    """

    title: str
    graph: GraphFormat
    precisions: tuple[str, ...]
    extra: str
    modules: tuple[str, ...]
    gaps: Mapping[str, str] = field(default_factory=dict)
    lowered: tuple[str, ...] = ()
    quantizer: str = "qdq"
    dynamic: bool = True
    suffixes: tuple[str, ...] = ()
    runs_code: str = ""
    symmetric: bool = False
    opset: int | None = None
    reads: tuple[GraphFormat, ...] = ()


@dataclass(frozen=True)
class Device:
    """One device a backend can run on.

    Attributes:
        name: What ``--device`` takes: ``"cpu"``, ``"cuda:0"``.
        usable: Whether it works here.
        note: Version of the engine, or the reason it does not work and what to do.
    """

    name: str
    usable: bool
    note: str


class Backend(Protocol):
    """What a module of ``segship.backends`` provides."""

    INFO: BackendInfo

    def convert(self, graph: Graph, target: Target, directory: Path) -> Engine:
        """Build the engine for ``target`` from ``graph`` and write its files to ``directory``."""

    def open(self, engine: Engine, *, device: str = "cpu", threads: int | None = None) -> Session:
        """Open the engine on ``device`` with ``threads`` threads (None: the engine's own choice)."""

    def probe(self) -> tuple[Device, ...]:
        """The devices this machine offers to the backend; never raises."""


class FileBackend(Backend, Protocol):
    """A backend whose engines say of themselves what they take and return."""

    def inspect(self, path: Path) -> tuple[Engine, Mapping[str, str]]:
        """The engine that the file at ``path`` is, and the file's metadata; no code that it carries is run.

        Raises:
            BackendError: It cannot be read.
        """


def shapes_of(feeds: Mapping[str, NDArray[Any]]) -> str:
    """The inputs' shapes for an error message: ``"image (1, 3, 512, 1024)"``."""
    return ", ".join(f"{name} {value.shape}" for name, value in feeds.items())
