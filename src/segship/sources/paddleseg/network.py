"""A network of PaddleSeg: run by Paddle Inference in a process of its own, captured by paddle2onnx."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from segship.core.errors import InputError, UnsupportedError
from segship.core.files import digest
from segship.core.spec import SizeRule
from segship.networks.onnx import OnnxNetwork
from segship.onnxgraph.file import load
from segship.onnxgraph.passes.fold_constants import fold_constants
from segship.onnxgraph.ports import inputs_of
from segship.reading.description import Description, read_description
from segship.reading.documents import read_mapping
from segship.reading.normalization import DescribedNormalization
from segship.sources import IGNORED, Loaded
from segship.sources.paddleseg.conversion import PaddleProgram, convert
from segship.sources.paddleseg.folder import Folder, read_folder

if TYPE_CHECKING:
    import numpy as np
    import onnx
    from numpy.typing import NDArray

    from segship.sources import LoadRequest

__all__ = ["PaddleNetwork", "for_channels", "load_folder"]

_RGB = 3
_OPSET = 20  # as all our graphs
_PADDLEX = (
    "The folder is of PaddleX: images are resized by its rules (aspect ratio kept and sides raised to multiples of 32, "
    "where Resize does not say otherwise), and masks are brought back by their nearest pixels "
    "(--cfg-options resize_logits=through_input: scores are resized)"
)


class PaddleNetwork(OnnxNetwork):
    """A program of Paddle. Its scores are Paddle's own, so that what is made of it is compared with the original.

    Args:
        model: The same network as converted by paddle2onnx.
        sizes: Which input sizes it takes.
        process: Runs the program.
    """

    def __init__(self, model: onnx.ModelProto, *, sizes: SizeRule, process: PaddleProgram) -> None:
        super().__init__(model, inputs_of(model)[0].name, sizes=sizes)
        self._process = process

    def _run(self, image: NDArray[Any]) -> NDArray[np.float32]:
        return self._process(image)


def load_folder(request: LoadRequest) -> Loaded:
    """Read the network of an inference folder and what its input and output mean.

    Args:
        request: Its description and options are laid over what ``deploy.yaml`` says.

    Raises:
        SegshipError: A file cannot be read, or Paddle's environment is missing.
    """
    if request.checkpoint is not None:
        raise InputError(f"{request.checkpoint}: an inference folder of PaddleSeg brings its own weights, leave it out")
    folder = read_folder(request.path, ignore_unknown=request.ignore_unknown)
    said = _description(folder, request)
    scratch = Path(tempfile.mkdtemp(prefix="segship-paddle-"))
    try:
        report = convert(folder.program, folder.params, scratch, opset=_OPSET)
        model = load(scratch / "model.onnx")
        fold_constants(model)
        process = PaddleProgram(scratch / "cut.json", scratch / "cut.pdiparams", threads=torch.get_num_threads())
        sizes, channels = _input(report["inputs"][0]["shape"], said, folder)
        network = PaddleNetwork(model, sizes=sizes, process=process)
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        raise
    weakref.finalize(network, shutil.rmtree, scratch, ignore_errors=True)
    outputs, tail = network.probe(channels), report["tail"]
    name = folder.paddlex or folder.program.parent.absolute().name
    spec, notes, provenance = for_channels(said, channels).spec(
        source="paddleseg", architecture=name, outputs=outputs, channels=channels
    )
    if tail["resize"] is not None:
        spec = spec.model_copy(update={"align_corners": tail["resize"]["align_corners"]})
    network.describe(len(spec.classes), outputs, align_corners=spec.align_corners)
    origin = {file.name: digest(file) for file in (folder.description, folder.program, folder.params)}
    if folder.paddlex:
        notes = (*notes, _PADDLEX)
    notes = (*notes, *_contradiction(folder, tail), *(f"{IGNORED}{sentence}" for sentence in folder.ignored))
    provenance = provenance.model_copy(update={"ignored": folder.ignored})
    return Loaded(spec, network, notes, origin, provenance=provenance)


def _description(folder: Folder, request: LoadRequest) -> Description:
    """What the YAML says of the input, with the user's description and then the options laid over it."""
    given = request.description or {}
    own = read_mapping(given) if isinstance(given, Path) else dict(given)
    values = {"normalization": {}} | folder.said | own  # what the YAML does not normalise stays as it is
    return read_description(values, request.options, place=folder.description.name, own=own)


def for_channels(said: Description, channels: int) -> Description:
    """Return the description with as many means and deviations as channels, where there is one for all."""
    normalization = said.normalization or DescribedNormalization()
    changes = {
        name: values * channels
        for name, values in (("mean", normalization.mean), ("std", normalization.std))
        if values is not None and len(values) == 1
    }
    return said.model_copy(update={"normalization": normalization.model_copy(update=changes)})


def _input(shape: list[int], said: Description, folder: Folder) -> tuple[SizeRule, int]:
    """Which sizes the program takes, and how many channels; what it leaves free is -1.

    Raises:
        UnsupportedError: Only one of height and width is free.
    """
    batch, channels, height, width = (side if side > 0 else None for side in shape)
    known = (said.normalization and said.normalization.channels) or _RGB
    if height and width:
        return SizeRule(fixed=(height, width), batch=batch), channels or known
    if height or width:
        raise UnsupportedError(
            f"{folder.program} takes images of {tuple(shape)}: only one of height and width is free, expected both or "
            "none"
        )
    return said.sizes.model_copy(update={"batch": batch}), channels or known


def _contradiction(folder: Folder, tail: dict[str, Any]) -> tuple[str, ...]:
    """A note where the YAML says another last operator than the program has."""
    found = "argmax" if tail["argmax"] else "softmax" if tail["softmax"] else "none"
    if folder.output_op in {None, found}:
        return ()
    return (f"{folder.description.name} says output_op: {folder.output_op}, but the program's is {found}; it counts",)
