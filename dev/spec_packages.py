"""The whole packages of spec/vectors: networks of a few weights, which a language's runtime runs from end to end."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from segship import Segmentor
from segship.core.artifacts import Graph, TensorInfo
from segship.core.calibration import Calibration, Reliability, TemperatureFit
from segship.core.files import digest
from segship.core.manifest import Manifest
from segship.core.plan import METADATA, Embedded, EmbeddedSpec
from segship.core.spec import Letterbox, ModelSpec, Normalization, Pad, Padding, Resize, ResizeEdges, SizeRule, Slide
from segship.core.target import Target
from segship.onnxgraph.image.postprocess import embed
from spec_cases import hashed, make_image, make_spec

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from make_spec import Writer

__all__ = ["PACKAGES", "Small", "write_package", "write_packages"]

_FEATURES = 8
_STRIDE = 4
_OPSET = 20
_MARGIN = 1e-4  # that the winner leads by; engines differ by some 1e-6


@dataclass(frozen=True)
class Small:
    """A package of a network of two convolutions.

    Attributes:
        name: Of its folder.
        what: What it covers, for people.
        image: (height, width) of its image.
        classes: How many.
        spec: Fields of its spec.
        fixed: The only input size, or None.
        embed: What the file does itself.
        two_files: Whether its weights lie beside the graph.
        temperatures: What logits are divided by in scores: one, one for each class, or none.
        seed: Of its weights: one with which no pixel is undecided.
        gain: What the weights of its last layer are below, which says how large the logits are.
    """

    name: str
    what: str
    image: tuple[int, int] = (61, 83)
    classes: int = 19
    spec: dict[str, Any] | None = None
    fixed: tuple[int, int] | None = None
    embed: tuple[Embedded, ...] = ()
    two_files: bool = False
    temperatures: tuple[float, ...] = ()
    seed: int = 50
    gain: float = 2


PACKAGES = (
    Small("whole", "any size, two resizes", spec={"geometry": (Resize(width=96, height=64),)}),
    Small(
        "keep_ratio_bgr",
        "Resize with keep_ratio, Pad, channels turned to BGR, align_corners",
        classes=7,
        spec={
            "geometry": (Resize(width=100, height=60, keep_ratio=True), Pad(multiple_of=16, value=(0.0,))),
            "normalization": Normalization(channel_order="bgr", mean=(103.5, 116.25, 123.5), std=(57.5, 57.0, 58.5)),
            "align_corners": True,
        },
    ),
    Small(
        "slide",
        "windows smaller than the image",
        spec={"slide": Slide(crop=(32, 32), stride=(20, 20))},
        fixed=(32, 32),
    ),
    Small(
        "temperature",
        "scores with one temperature, windows smaller than the image",
        classes=6,
        spec={"slide": Slide(crop=(32, 32), stride=(20, 20))},
        fixed=(32, 32),
        temperatures=(1.75,),
    ),
    Small(
        "temperatures",
        "scores with a temperature for each class, two resizes",
        classes=4,
        spec={"geometry": (Resize(width=96, height=64),)},
        seed=51,
        gain=0.5,
        # A temperature below 1 multiplies the last digits in which engines differ; those of small logits are small.
        temperatures=(0.5, 1.0, 1.5, 2.25),
    ),
    Small(
        "slide_larger",
        "a window larger than the image",
        classes=5,
        spec={"slide": Slide(crop=(96, 96), stride=(64, 64))},
    ),
    Small(
        "letterbox",
        "a letterbox at one size",
        image=(47, 90),
        classes=4,
        spec={"geometry": (Letterbox(width=64, height=64, value=(114.0,)),)},
        fixed=(64, 64),
    ),
    Small(
        "pillow_directly",
        "Pillow's filter, logits resized at once, 150 classes",
        classes=150,
        seed=66,
        spec={
            "geometry": (ResizeEdges(short=48, interpolation="pillow_bilinear"),),
            "resize_logits": "directly",
        },
    ),
    Small(
        "sigmoid",
        "one channel, threshold 0.4, padding",
        classes=2,
        spec={"output": "sigmoid", "threshold": 0.4, "padding": Padding(multiple_of=32)},
    ),
    Small("classes_300", "labels of 16 bits", image=(30, 40), classes=300, seed=54),
    Small(
        "grey", "a network of one channel", classes=3, spec={"normalization": Normalization(mean=(110.0,), std=(60.0,))}
    ),
    Small("two_files", "weights in a file beside the graph", classes=4, two_files=True),
    Small(
        "bands_3",
        "three bands as they are stored, resized without rounding",
        classes=5,
        spec={"pixels": "multispectral", "geometry": (Resize(width=96, height=64),)},
    ),
    Small(
        "embed_pre",
        "the engine prepares the image itself",
        spec={"geometry": (Resize(width=96, height=64),)},
        embed=("pre",),
    ),
    Small(
        "embed_post",
        "the engine returns labels of its input's size; nearest neighbours from there",
        spec={"geometry": (Resize(width=96, height=64), Pad(multiple_of=48, crop=True))},
        embed=("post",),
    ),
    Small(
        "embed_pre_post",
        "image in, labels out: the engine does it all",
        spec={"geometry": (Resize(width=96, height=64),)},
        embed=("pre", "post"),
    ),
    Small("one_pixel", "an image of one pixel", image=(1, 1), classes=3),
    Small(
        "to_input",
        "decided at the input's size; from there the nearest pixels",
        seed=61,
        spec={"geometry": (Resize(width=96, height=64),), "resize_logits": "to_input"},
    ),
)


def _weights(shape: tuple[int, ...], seed: int, scale: float) -> NDArray[np.float32]:
    """Multiples of 1/64 around zero."""
    return ((hashed(shape, seed, 129) - 64) / 64 * scale).astype(np.float32)


def _model(small: Small, spec: ModelSpec, metadata: EmbeddedSpec) -> onnx.ModelProto:
    """Conv, Relu, Conv; every side is divided by the stride and rounded up."""
    channels = 1 if spec.output == "sigmoid" else small.classes
    before = (_STRIDE - 1) // 2
    sides = small.fixed or ("height", "width")
    cells = tuple(-(-side // _STRIDE) for side in small.fixed) if small.fixed else ("logits_height", "logits_width")
    first = _weights((_FEATURES, spec.channels, _STRIDE, _STRIDE), small.seed, 1 / 4)
    nodes = [
        helper.make_node(
            "Conv",
            ["image", "first", "first_bias"],
            ["features"],
            kernel_shape=[_STRIDE, _STRIDE],
            strides=[_STRIDE, _STRIDE],
            pads=[before, before, _STRIDE - 1 - before, _STRIDE - 1 - before],
        ),
        helper.make_node("Relu", ["features"], ["positive"]),
        helper.make_node("Conv", ["positive", "second", "second_bias"], ["logits"], kernel_shape=[1, 1]),
    ]
    weights = {
        "first": first,
        "first_bias": _weights((_FEATURES,), small.seed + 1, 1),
        "second": _weights((channels, _FEATURES, 1, 1), small.seed + 2, small.gain),
        "second_bias": _weights((channels,), small.seed + 3, 1),
    }
    graph = helper.make_graph(
        nodes,
        "segship",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", spec.channels, *sides])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", channels, *cells])],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=10)
    helper.set_model_props(model, {METADATA: metadata.model_dump_json()})
    return model


def write_package(small: Small, folder: Path) -> None:
    """Write a package into ``folder``."""
    bands = 1 if small.name == "grey" else 3
    spec, sizes = make_spec(small.classes, bands, small.spec), SizeRule(fixed=small.fixed)
    shape = "dynamic" if small.fixed is None else f"static-{small.fixed[0]}x{small.fixed[1]}"
    target = Target.parse(f"onnxruntime_{shape}")
    model = _model(small, spec, EmbeddedSpec(spec=spec, sizes=sizes, target=target, embed=small.embed))
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "model.onnx"
    beside = folder / "model.onnx.data"
    onnx.save(model, path, save_as_external_data=small.two_files, location=beside.name, size_threshold=0)
    graph = Graph(path, "onnx", (_info(model.graph.input[0]),), (_info(model.graph.output[0]),))
    if small.embed:
        graph = embed(graph, path, spec, small.embed)
    Manifest(
        spec=spec,
        sizes=sizes,
        target=target,
        embed=small.embed,
        inputs=graph.inputs,
        outputs=graph.outputs,
        files={file.name: digest(file) for file in (path, beside) if file.is_file()},
        calibration=_calibration(small.temperatures) if small.temperatures else None,
    ).write(folder)


def _calibration(temperatures: tuple[float, ...]) -> Calibration:
    """Temperatures without figures of what they change."""
    nothing = Reliability(ece=0.0, nll=0.0)
    fit = TemperatureFit(precision="fp32", temperatures=temperatures, before=nothing, after=nothing)
    return Calibration(images=0, pixels=0, engine=fit)


def _info(value: onnx.ValueInfoProto) -> TensorInfo:
    sides = tuple(side.dim_param or side.dim_value for side in value.type.tensor_type.shape.dim)
    return TensorInfo(name=value.name, dtype="float32", shape=sides)


def _leads(scores: NDArray[np.float32], spec: ModelSpec) -> bool:
    """Whether every pixel is decided by more than what engines differ by, and not all of them alike."""
    if spec.output == "sigmoid":
        labels, lead = scores[0] > spec.threshold, np.abs(scores[0] - spec.threshold)
    else:
        second, first = np.partition(scores, -2, axis=0)[-2:]
        labels, lead = scores.argmax(axis=0), (first - second) / first
    return bool(lead.min() > _MARGIN) and (labels.size == 1 or len(np.unique(labels)) > 1)


def write_packages(writer: Writer) -> list[dict[str, Any]]:
    """Write all packages with their masks and scores; their entries in the index."""
    return [_written(small, writer) for small in PACKAGES]


def _written(small: Small, writer: Writer) -> dict[str, Any]:
    image = make_image(*small.image, 3, "uint8")
    place = f"packages/{small.name}"
    write_package(dataclasses.replace(small, embed=()), writer.folder / place)
    with Segmentor(writer.folder / place) as segmentor:
        mask, scores = segmentor(image), segmentor.scores(image)
        if not _leads(segmentor.scores(image, raw=True), segmentor.spec):
            raise AssertionError(f"{small.name}: a pixel is undecided, choose another seed")
    if small.embed:
        write_package(small, writer.folder / place)
        with Segmentor(writer.folder / place) as segmentor:
            mask = segmentor(image)
    entry = {
        "name": small.name,
        "what": small.what,
        "package": place,
        "image": writer.image(image),
        "mask": writer.picture(f"{place}.mask", mask),
    }
    if "post" in small.embed:
        return entry
    # What is resized in floating point differs in its last bits before the network sees it.
    return entry | {"scores": writer.scores(f"{place}.scores", scores)}
