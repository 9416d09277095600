"""Writing the whole inference as ONNX or TorchScript, and comparing the file with the network."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from segship.capture import CaptureOptions, capture
from segship.core.errors import InputError, SizeError, UnsupportedError, VerificationError
from segship.core.provenance import RANDOM_WEIGHTS
from segship.core.spec import Resize
from segship.onnxgraph.image.postprocess import append_postprocess
from segship.onnxgraph.rewrite import rewrite
from segship.onnxgraph.text import text_of
from segship.sources import load
from segship.tools.graphs.full_inference import FullInference
from segship.verification.compare import Reference, compare
from segship.verification.gates import require
from segship.vision.decode import read_image
from segship.vision.preprocess import prepare_at

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import onnx
    from numpy.typing import NDArray

    from segship.core.artifacts import Graph
    from segship.core.manifest import Comparison
    from segship.core.spec import ModelSpec
    from segship.sources import Loaded
    from segship.tools.graphs.full_inference import Output

    Size = tuple[int, int]
    Run = Callable[[NDArray[np.float32]], NDArray[Any]]

__all__ = ["ExportedGraph", "export_onnx", "export_torchscript"]

_USUAL_SIZE = (512, 1024)
_OTHER_SIZE = 1.5  # of the traced one: what a dynamic file is tried with


@dataclass(frozen=True)
class ExportedGraph:
    """A file that was written.

    Attributes:
        path: The file.
        shape: (height, width) it was traced at.
        dynamic: Whether it takes other sizes and batches.
        output: ``"labels"`` int64 (N, 1, H, W), or ``"logits"`` float32 (N, K, H, W).
        text: Its graph as text.
        checks: The comparisons; empty where none was asked for.
        notes: What a user should know, in sentences.
    """

    path: Path
    shape: tuple[int, int]
    dynamic: bool
    output: str
    text: str
    checks: tuple[Comparison, ...]
    notes: tuple[str, ...]


def export_onnx(
    config: str | Path,
    checkpoint: str | Path | None = None,
    out: str | Path = "tmp.onnx",
    *,
    shape: Size | None = None,
    rescale_shape: Size | None = None,
    dynamic: bool = False,
    verify: bool = False,
    image: str | Path | None = None,
    output: Output = "labels",
    cfg_options: Mapping[str, Any] | Sequence[str] | None = None,
    trust: bool = False,
    random_weights: bool = False,
) -> ExportedGraph:
    """Write the whole inference as one ONNX file: ``input`` float32 (N, C, H, W), normalised -> ``output``.

    Args:
        config: The framework's config, folder or file.
        checkpoint: The trained weights; None where ``config`` brings them.
        out: The file.
        shape: (height, width) of the input; None: the test pipeline's, else the window's, else 512x1024.
        rescale_shape: (height, width) of the output; None: the input's.
        dynamic: Let batch, height and width free.
        verify: Compare the file, in ONNX Runtime, with the network; a dynamic one at another size and batch, too.
        image: Image to verify with; None: noise.
        output: ``"labels"``, or ``"logits"``.
        cfg_options: Overrides of the config.
        trust: Load a checkpoint that can only be read by running the code it carries.
        random_weights: Take random weights where ``config`` brings none: for trials.

    Returns:
        The file, and what its verification found.

    Raises:
        UnsupportedError: It shall be dynamic, but the network slides: how many windows there are depends on the size.
        SizeError: The network does not take the shape.
        VerificationError: The file does not compute what the network computes; it was removed.
    """
    path = _suffix(out, ".onnx")
    loaded, notes = _load(config, checkpoint, cfg_options, trust=trust, random_weights=random_weights)
    if dynamic and loaded.spec.slide is not None:
        raise UnsupportedError(
            "a network that slides has as many windows as fit into the image, and a dynamic file cannot count them: "
            "leave --dynamic-export out, see the whole image with --cfg-options model.test_cfg.mode=whole, or use "
            "segship export, whose packages slide at every size"
        )
    size = shape or _pipeline_size(loaded.spec)
    size = _allowed(loaded, size if shape else loaded.network.sizes.nearest(*size))
    network = loaded.network
    if loaded.spec.slide is not None:
        network = FullInference(network, loaded.spec, "logits", None).eval()
    graph = capture(network, path, CaptureOptions(size, loaded.spec.channels, dynamic))
    _finish(graph, loaded.spec, output, rescale_shape)
    whole = FullInference(loaded.network, loaded.spec, output, rescale_shape).eval()
    checks: tuple[Comparison, ...] = ()
    if verify:
        checks = _verify(path, whole, _onnx_runner(path), _tensors(loaded, size, image, dynamic=dynamic))
    return ExportedGraph(path, size, dynamic, output, text_of(path), checks, notes)


def export_torchscript(
    config: str | Path,
    checkpoint: str | Path | None = None,
    out: str | Path = "tmp.pt",
    *,
    shape: Size | None = None,
    rescale_shape: Size | None = None,
    verify: bool = False,
    image: str | Path | None = None,
    output: Output = "logits",
    cfg_options: Mapping[str, Any] | Sequence[str] | None = None,
    trust: bool = False,
    random_weights: bool = False,
) -> ExportedGraph:
    """Write the whole inference as one TorchScript file, traced at ``shape`` with a batch of one.

    Args:
        config: As for `export_onnx`.
        checkpoint: As for `export_onnx`.
        out: The file.
        shape: (height, width) of the input; None: 512x512, or the nearest size that the network takes.
        rescale_shape: As for `export_onnx`.
        verify: Compare the file with the network.
        image: As for `export_onnx`.
        output: As for `export_onnx`.
        cfg_options: As for `export_onnx`.
        trust: As for `export_onnx`.
        random_weights: As for `export_onnx`.

    Returns:
        The file, and what its verification found.

    Raises:
        SizeError: The network does not take the shape.
        VerificationError: The file does not compute what the network computes; it was removed.
    """
    path = _suffix(out, ".pt")
    loaded, notes = _load(config, checkpoint, cfg_options, trust=trust, random_weights=random_weights)
    size = _allowed(loaded, shape or loaded.network.sizes.nearest(512, 512))
    whole = FullInference(loaded.network, loaded.spec, output, rescale_shape).eval()
    capture(whole, path, CaptureOptions(size, loaded.spec.channels, dynamic=False), format="torchscript")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is deprecated, which those who ask for it know
        module = torch.jit.load(str(path))  # type: ignore[no-untyped-call]

    def run(tensor: NDArray[np.float32]) -> NDArray[Any]:
        with torch.inference_mode():
            found: NDArray[Any] = module(torch.from_numpy(tensor)).numpy()
        return found

    checks: tuple[Comparison, ...] = ()
    if verify:
        checks = _verify(path, whole, run, _tensors(loaded, size, image, dynamic=False))
    return ExportedGraph(path, size, False, output, str(module.inlined_graph), checks, notes)  # noqa: FBT003


def _suffix(out: str | Path, suffix: str) -> Path:
    path = Path(out)
    if path.suffix != suffix:
        raise InputError(f"{path} ends with {path.suffix or 'nothing'}: expected {suffix}")
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _load(
    config: str | Path, checkpoint: str | Path | None, cfg_options: Any, *, trust: bool, random_weights: bool
) -> tuple[Loaded, tuple[str, ...]]:
    loaded = load(config, checkpoint, cfg_options=cfg_options, trust=trust, random_weights=random_weights)
    random = (RANDOM_WEIGHTS,) if loaded.provenance.random_weights else ()
    return loaded, (*loaded.notes, *random)


def _pipeline_size(spec: ModelSpec) -> Size:
    for step in spec.geometry:
        if isinstance(step, Resize):
            return step.height, step.width
    return spec.slide.crop if spec.slide is not None else _USUAL_SIZE


def _allowed(loaded: Loaded, size: Size) -> Size:
    if loaded.spec.slide is None and not loaded.network.sizes.allows(*size):
        raise SizeError(f"the shape is {size[0]}x{size[1]}, this network takes {loaded.network.sizes}")
    return size


def _finish(graph: Graph, spec: ModelSpec, output: Output, size: Size | None) -> None:
    """Let the file end as MMSegmentation's tool let it end, under its names."""

    def end(model: onnx.ModelProto) -> None:
        append_postprocess(model, spec, image="input", output="output", size=size, decide=output == "labels")

    rewrite(graph, graph.path, end)


def _onnx_runner(path: Path) -> Run:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])

    def run(tensor: NDArray[np.float32]) -> NDArray[Any]:
        found: NDArray[Any] = session.run(None, {"input": tensor})[0]
        return found

    return run


def _tensors(loaded: Loaded, size: Size, image: str | Path | None, *, dynamic: bool) -> list[NDArray[np.float32]]:
    """What to verify with: one of the traced size; two at once of another size where the file is dynamic."""
    pixels = read_image(Path(image)) if image is not None else _noise(loaded.spec.channels)
    tensors = [prepare_at(pixels, loaded.spec, size)]
    if dynamic:
        free = loaded.network.sizes.fixed is None
        other = loaded.network.sizes.nearest(*(int(side * _OTHER_SIZE) for side in size)) if free else size
        tensors.append(np.repeat(prepare_at(pixels, loaded.spec, other), 2, axis=0))
    return tensors


def _noise(channels: int) -> NDArray[np.uint8]:
    """Blots of random colours: noise of single pixels says little to a network."""
    return np.random.default_rng(0).integers(0, 256, (24, 48, channels), np.uint8)


def _verify(path: Path, whole: FullInference, run: Run, tensors: list[NDArray[np.float32]]) -> tuple[Comparison, ...]:
    """Compare the file with the network's logits, whatever leaves it; a file that fails its gate is removed."""
    checks = []
    for tensor in tensors:
        with torch.inference_mode():
            expected = whole.full_logits(torch.from_numpy(tensor)).numpy()
        try:
            checks.append(compare(Reference("image", tensor, expected), run(tensor), whole.spec))
            require(checks[-1:], "fp32")
        except VerificationError as error:
            path.unlink(missing_ok=True)
            raise VerificationError(f"{error}; the file was removed") from None
    return tuple(checks)
