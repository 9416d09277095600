"""ncnn: Tencent's engine for phones and small processors, fed by pnnx from a traced network."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from segship.core.artifacts import BackendInfo, Device, Engine, Graph, Session
from segship.core.errors import BackendError, MissingExtraError, one_line
from segship.core.sessions import OpenSession

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from segship.core.target import Target

__all__ = ["INFO", "convert", "open", "probe"]

INFO = BackendInfo(
    title="ncnn",
    graph="torchscript",
    precisions=("fp32", "fp16"),
    extra="ncnn",
    modules=("ncnn", "pnnx"),
    dynamic=False,
    gaps={
        "bf16": "its kernels for most processors have no bfloat16",
        "int8": "the tools that calibrate it (ncnn2table, ncnn2int8) are not in its Python packages",
        "dynamic": "pnnx writes the sizes of resizes, reshapes and poolings into the file",
        "networks": "what it has no layer for is named by the export; SegFormer, Swin, Segmenter, DPT, CCNet and DMNet "
        "work",
        "gpu": "its Vulkan devices are not offered; the same two files run there from C++",
    },
)

_PARAM, _WEIGHTS = "model.ncnn.param", "model.ncnn.bin"
_INPUT, _OUTPUT = "in0", "out0"  # as pnnx calls them
_MAGIC = b"7767517"
_SECONDS = 1800  # the largest networks take about a minute


def _load() -> Any:
    try:
        import ncnn
    except ImportError as error:
        raise MissingExtraError("ncnn", "ncnn", "ncnn") from error
    return ncnn


def convert(graph: Graph, target: Target, directory: Path) -> Engine:
    """Translate the traced network with pnnx; fp16 halves the file, and the arithmetic stays in float32.

    Args:
        graph: TorchScript, traced at the target's size.
        target: Precision and shape.
        directory: Where the two files go.

    Raises:
        BackendError: pnnx fails, or the network holds an operation that ncnn does not have.
    """
    ncnn = _load()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        shutil.copyfile(graph.path, folder / "model.pt")
        _translate(folder, graph, half=target.precision == "fp16")
        _require_known(ncnn, folder / _PARAM)
        for name in (_PARAM, _WEIGHTS):
            shutil.copyfile(folder / name, directory / name)
    return Engine(
        directory, (_PARAM, _WEIGHTS), graph.inputs, graph.outputs, {"half_storage": target.precision == "fp16"}
    )


def _translate(folder: Path, graph: Graph, *, half: bool) -> None:
    """Run pnnx on ``model.pt``; it leaves a dozen files beside it."""
    shape = ",".join(map(str, graph.inputs[0].shape))
    command = [str(_pnnx()), "model.pt", f"inputshape=[{shape}]f32", f"fp16={int(half)}"]
    try:
        done = subprocess.run(  # noqa: S603  (our own arguments, no shell)
            command, cwd=folder, capture_output=True, text=True, errors="replace", timeout=_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise BackendError(f"pnnx did not finish within {_SECONDS} seconds") from None
    except OSError as error:
        raise BackendError(
            f"pnnx cannot be run ({error}): install it again, pip install --force-reinstall pnnx"
        ) from None
    if done.returncode or not all((folder / name).is_file() for name in (_PARAM, _WEIGHTS)):
        raise BackendError(
            f"pnnx cannot translate the network (exit status {done.returncode}): "
            f"{one_line(done.stdout + done.stderr, last=True)}"
        )


def _pnnx() -> Path:
    """The program inside the package; importing the package itself would import torch."""
    found = importlib.util.find_spec("pnnx")
    if found is None or found.origin is None:
        raise MissingExtraError("Exporting for ncnn", "ncnn", "pnnx")
    folder = Path(found.origin).parent
    return next((path for path in (folder / "pnnx", folder / "pnnx.exe") if path.is_file()), folder / "pnnx")


def _require_known(ncnn: Any, param: Path) -> None:
    """What pnnx cannot translate it leaves as a layer of PyTorch's name, which ncnn refuses when it opens the file."""
    kinds = [line.split()[0] for line in param.read_text(encoding="utf-8").splitlines()[2:] if line.strip()]
    unknown = sorted({kind for kind in kinds if ncnn.layer_to_index(kind) < 0})
    if unknown:
        raise BackendError(
            f"ncnn has no layer for {', '.join(unknown)}, which this network needs: take another backend for it"
        )


def open(engine: Engine, *, device: str = INFO.default_device, threads: int | None = None) -> Session:
    """Open a pair of files.

    Args:
        engine: Its first file is the ``.param``, the second the ``.bin``.
        device: ``cpu``.
        threads: None: one for each core.

    Raises:
        BackendError: The device is unknown, or the files cannot be opened.
    """
    ncnn = _load()
    if device != "cpu":
        raise BackendError(f"no device is called {device!r}: ncnn runs on cpu here")
    param = engine.directory / engine.files[0]
    _require_magic(param)
    net = ncnn.Net()
    _set_precision(net.opt, half=bool(engine.options.get("half_storage")))
    if threads is not None:
        net.opt.num_threads = threads
    for path, read in zip((param, engine.directory / engine.files[1]), (net.load_param, net.load_model), strict=True):
        if read(str(path)) != 0:
            raise BackendError(f"ncnn cannot open {path}: the file is damaged, export the package again")
    return OpenSession("ncnn", _Run(ncnn, net, engine))


def _require_magic(param: Path) -> None:
    """What is not its own may crash ncnn itself."""
    try:
        with param.open("rb") as file:
            found = file.read(len(_MAGIC))
    except OSError as error:
        raise BackendError(f"ncnn cannot open {param}: {error.strerror}") from error
    if found != _MAGIC:
        raise BackendError(f"ncnn cannot open {param}: it does not begin with {_MAGIC.decode()}")


def _set_precision(options: Any, *, half: bool) -> None:
    """Arithmetic stays in float32 so that every processor gives what was verified; ARM's would lose digits silently."""
    options.use_fp16_packed = options.use_fp16_storage = half
    options.use_fp16_arithmetic = options.use_bf16_storage = False


class _Run:
    """Each run has an extractor of its own, and so its own blobs."""

    def __init__(self, ncnn: Any, net: Any, engine: Engine) -> None:
        self._ncnn, self._net = ncnn, net
        self._input, self._output = engine.inputs[0], engine.outputs[0]

    def __call__(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
        image = feeds[self._input.name]
        if image.shape != self._input.shape:  # ncnn would run, and resize to the size it was built for
            raise BackendError(f"ncnn refuses the input {image.shape}: this engine was built for {self._input.shape}")
        extractor = self._net.create_extractor()
        # Cloned: ncnn wants each channel to begin at a multiple of 16 bytes. Named: a Mat does not keep what it reads.
        whole = np.ascontiguousarray(image[0], np.float32)
        extractor.input(_INPUT, self._ncnn.Mat(whole).clone())
        status, found = extractor.extract(_OUTPUT)
        if status != 0:
            raise BackendError(f"ncnn cannot compute the output (status {status}): memory may be short")
        logits = np.array(found, np.float32)[None]  # a copy: the extractor owns the original
        return {self._output.name: logits}


def probe() -> tuple[Device, ...]:
    """The processor."""
    try:
        ncnn = _load()
    except MissingExtraError as error:
        return (Device("cpu", usable=False, note=str(error)),)
    return (Device("cpu", usable=True, note=f"ncnn {ncnn.__version__}"),)
