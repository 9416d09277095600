"""What the stages hand to one another: Graph, Engine, Session, and the backend's description of itself."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol

from segship.core.errors import BackendError, did_you_mean
from segship.core.frozen import Frozen, Words
from segship.core.validation import Bound

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    import numpy as np
    from numpy.typing import NDArray

    from segship.core.target import Target

__all__ = [
    "Backend",
    "BackendInfo",
    "Device",
    "Engine",
    "EngineOption",
    "FileBackend",
    "Graph",
    "GraphFormat",
    "Quantizer",
    "Session",
    "TensorInfo",
    "shapes_of",
]

GraphFormat = Literal["onnx", "pt2", "torchscript", "openvino_ir"]

Quantizer = Literal["nncf", "ai_edge", "torchao", "rknn_toolkit", "qnn_qdq"]
"""The tools that make int8, each in the module of ``segship.quantize`` that is called like it."""


_MOST_AXES = 64  # of NumPy's arrays


class TensorInfo(Frozen):
    """Name, element type and shape of an input or output.

    Attributes:
        name: As the engine calls it.
        dtype: NumPy's name of the type: ``"float32"``.
        shape: Sizes; a name where the size is dynamic: ``("batch", 3, "height", "width")``.
    """

    name: Words
    dtype: Words
    shape: Annotated[tuple[int | Words, ...], Bound(most=_MOST_AXES)]

    @property
    def is_whole(self) -> bool:
        """True where the elements are whole numbers: an output's are labels then, not scores."""
        return self.dtype.startswith(("int", "uint"))


@dataclass(frozen=True)
class Graph:
    """One portable file: normalised float32 (N, C, H, W) in, low-resolution logits (N, K, h, w) out.

    Attributes:
        path: The file.
        format: ``"onnx"``, ``"pt2"``, ``"torchscript"``, or ``"openvino_ir"`` for what comes as OpenVINO's own.
        inputs, outputs: Their names, types and shapes.
        metadata: What is written into the file, and into the engine's where its format has room for it.
        kept: Names of nodes, and of the values they make, that an engine computes in float32 though the target's
            precision is lower; for backends that say the precision in ``INFO.mixed``.
    """

    path: Path
    format: GraphFormat
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    metadata: Mapping[str, str] = field(default_factory=dict)
    kept: tuple[str, ...] = ()


@dataclass(frozen=True)
class Engine:
    """The files one backend runs.

    Attributes:
        directory: Where they lie.
        files: Their names; the first is the one to open.
        inputs, outputs: Their names, types and shapes.
        options: What the backend wants to remember for ``open``; JSON types only.
        cache: Digest of the files, where what the backend compiles of them may be kept for later starts; else empty.
    """

    directory: Path
    files: tuple[str, ...]
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    cache: str = ""


class Session(Protocol):
    """An opened engine. Any number of threads may use one session at the same time.

    It is a context manager that closes itself. A class that says ``Session`` is its base inherits all but `run`.
    """

    @abstractmethod
    def run(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
        """Compute the outputs; what it returns is the caller's own, and no later run writes over it.

        Args:
            feeds: An array for each input, by name.

        Returns:
            float32 array of each output, by name.

        Raises:
            BackendError: The engine refuses the input, or the session is closed.
        """

    def close(self) -> None:
        """Free the engine's memory. Runs under way end as they would have; later ones are refused. Twice is once."""
        return  # what has nothing to free inherits this

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@dataclass(frozen=True)
class EngineOption:
    """A setting of one engine's own, which a target carries (``Target.options``).

    An engine that needs it again when it is opened notes it in ``Engine.options``.

    Attributes:
        kind: Type of its value.
        text: What it sets, in a sentence.
        minimum: Least value of a number; None: no bound.
        choices: The values there are; empty: any.
        default: What is taken where it is not given, in words; None: the text says.
    """

    kind: type[bool | int | float | str]
    text: str
    minimum: float | None = None
    choices: tuple[str, ...] = ()
    default: str | None = None

    def told(self) -> str:
        """Return the values it takes, as a help text shows them: ``"rk3588|rk3568 (rk3588)"``."""
        values = "|".join(self.choices) or {bool: "true|false", int: "NUMBER", float: "NUMBER"}.get(self.kind, "TEXT")
        return f"{values} ({self.default})" if self.default else values

    def read(self, value: object) -> bool | int | float | str:
        """Return the value as its own type; a text, as a command line gives it, is read.

        Raises:
            ValueError: It is none; the message says what is expected.
        """
        known = {"true": True, "false": False, "1": True, "0": False}
        try:
            read = known[str(value).lower()] if self.kind is bool else self.kind(str(value))
        except (KeyError, ValueError):
            raise ValueError(f"expected {self.kind.__name__}") from None
        if self.choices and read not in self.choices:
            raise ValueError(f"expected {', '.join(self.choices)}")
        if self.minimum is not None and float(read) < self.minimum:
            raise ValueError(f"expected at least {self.minimum:g}")
        return read


@dataclass(frozen=True)
class BackendInfo:
    """The abilities of a backend as data: support tables, checks and defaults are made from them.

    Attributes:
        title: For people: ``"ONNX Runtime"``.
        graph: The format it converts from.
        precisions: The ones it builds.
        lowered: Those of them that Segship makes: they are in the graph before it is converted, or, of int8, in what
            the quantizer makes.
        mixed: Those that it makes itself and in which single nodes can stay in float32 (`Graph.kept`).
        emulated: Tells why this machine computes a precision as another one, so that nothing measured here says
            anything of it; an empty text where it does not. None: no precision is.
        quantizer: The tool that makes int8 for it, where int8 is among ``lowered``; see ``segship.quantize.quantize``.
        dynamic: Whether height, width and batch may stay free.
        extra: Extra of Segship's distribution that installs it; empty for the base install.
        modules: Modules it imports; versions are those of the distributions that provide them.
        gaps: What it cannot do, with the reason.
        suffixes: Names of lone files that it opens end in one of these; it then has ``inspect`` (see `FileBackend`).
        is_source: Whether such a file is a network, too, that ``segship export`` reads.
        runs_code: Why opening one of its engines runs code that the file carries; empty: its files are data.
        symmetric: Whether its int8 has no zero points, in eight bits for weights too.
        opset: The newest version of ONNX's operators it surely reads; None: whatever Segship writes.
        reads: Formats it converts from besides, for networks that come in one of them and can leave it for no other.
        default_device: What it runs on where nothing is said: ``"cpu"`` where it has one.
        threads: Who is given the number of threads that ``open`` is told: each run of the ``"session"``; the whole
            ``"process"``, because the engine has one pool for it; ``""``: nobody, and a number is refused.
        parallel: Whether runs from several threads go on at the same time; if not, they wait for one another. They are
            safe either way.
        throughput: What stands behind a device's name, after a comma, where several runs shall share its processors
            instead of one taking all; ``parallel`` need not hold without it. Empty: there is no such mode.
        options: Settings of its own, by name.
        embed: Precisions in which its graphs can hold the work on images before and after the network.
        branches: Whether its graphs may hold a branch, of which it computes the one that is taken.
        reference: Formats whose float32 graph it opens as it stands, to be what a lower precision is measured with.
        passes: Rewrites of its ONNX graphs that suit its kernels, in their order, by their names in
            ``segship.onnxgraph.rewrite``.
        int8_passes: Rewrites that come before its graphs are quantised, by the same names.
        mmdeploy: Whether folders that MMDeploy made for it are opened; MMDeploy calls it by the same name.
        precision_names: The vendor's own words for its precisions, which targets may be written with.
        elsewhere: What to do where it builds engines that no device here runs, in a sentence's end: ``"on a Mac, …"``.
        unbuildable: Tells why this machine builds none of its engines, as where a device or the vendor's tools have to;
            an empty text where it does. None: ``modules`` are enough.
        foreign: Tells why no device here runs an engine with these options though there are usable ones, as where it is
            for another kind of card; an empty text where one does. None: a usable device runs every engine.
        unverified: Whether its packages are written where no device here runs them, as *built, not verified here*;
            other engines' need ``allow_inexact`` there.
        plain: The opset of ONNX that the vendor's converter reads, of static graphs without arithmetic on whole
            numbers (see ``segship.onnxgraph.plain``); None: graphs are given as they are.
    """

    title: str
    graph: GraphFormat
    precisions: tuple[str, ...]
    extra: str
    modules: tuple[str, ...]
    gaps: Mapping[str, str] = field(default_factory=dict)
    lowered: tuple[str, ...] = ()
    mixed: tuple[str, ...] = ()
    emulated: Callable[[str], str] | None = None
    quantizer: Quantizer = "nncf"
    dynamic: bool = True
    suffixes: tuple[str, ...] = ()
    is_source: bool = False
    runs_code: str = ""
    symmetric: bool = False
    opset: int | None = None
    reads: tuple[GraphFormat, ...] = ()
    default_device: str = "cpu"
    threads: Literal["session", "process", ""] = "session"
    parallel: bool = True
    throughput: str = ""
    options: Mapping[str, EngineOption] = field(default_factory=dict)
    embed: tuple[str, ...] = ()
    branches: bool = False
    reference: tuple[GraphFormat, ...] = ()
    passes: tuple[str, ...] = ()
    int8_passes: tuple[str, ...] = ()
    mmdeploy: bool = False
    elsewhere: str = ""
    unbuildable: Callable[[], str] | None = None
    foreign: Callable[[Mapping[str, object]], str] | None = None
    unverified: bool = False
    plain: int | None = None
    precision_names: Mapping[str, str] = field(default_factory=dict)

    def read_options(self, given: Mapping[str, object]) -> dict[str, bool | int | float | str]:
        """Return the engine's own settings, each as its own type.

        Args:
            given: By name; values may be texts.

        Raises:
            BackendError: The engine has no such setting, or a value is none of its.
        """
        read = {}
        for name, value in given.items():
            if name not in self.options:
                have = f"it takes {', '.join(self.options)}" if self.options else "it takes none"
                raise BackendError(
                    f"{self.title} has no option {name!r}: {have}.{did_you_mean(name, self.options)}".removesuffix(".")
                )
            try:
                read[name] = self.options[name].read(value)
            except ValueError as error:
                raise BackendError(f"{self.title}'s option {name} is {value!r}: {error}") from None
        return read


@dataclass(frozen=True)
class Device:
    """One device a backend can run on.

    Attributes:
        name: What ``--device`` takes: ``"cpu"``, ``"cuda:0"``.
        usable: Whether it works here.
        note: Version of the engine, or the reason it does not work and what to do.
        simulator: Name and version of the vendor's simulator, where the device is one.
    """

    name: str
    usable: bool
    note: str
    simulator: str = ""


class Backend(Protocol):
    """The functions and data that a module of ``segship.backends`` provides."""

    INFO: BackendInfo

    def convert(self, graph: Graph, target: Target, directory: Path) -> Engine:
        """Build the engine for ``target`` from ``graph`` and write its files to ``directory``.

        ``target.options`` have been checked against ``INFO.options``.
        """

    def open(self, engine: Engine, *, device: str = ..., threads: int | None = None) -> Session:
        """Open the engine.

        Args:
            engine: As `convert` or a manifest tells it.
            device: One of `probe`'s; where it is left out, ``INFO.default_device``.
            threads: How many threads one run takes, as ``INFO.threads`` says; None: the engine's own choice.

        Raises:
            BackendError: It cannot be opened, or the engine cannot be told its threads and is.
        """

    def probe(self) -> tuple[Device, ...]:
        """Return the devices this machine offers to the backend; never raises."""


class FileBackend(Backend, Protocol):
    """A backend whose engines say of themselves what they take and return."""

    def inspect(self, path: Path) -> tuple[Engine, Mapping[str, str]]:
        """Return the engine that the file at ``path`` is, and the file's metadata; no code that it carries is run.

        Raises:
            BackendError: It cannot be read.
        """


def shapes_of(feeds: Mapping[str, NDArray[Any]]) -> str:
    """Return the inputs' shapes for an error message: ``"image (1, 3, 512, 1024)"``."""
    return ", ".join(f"{name} {value.shape}" for name, value in feeds.items())
