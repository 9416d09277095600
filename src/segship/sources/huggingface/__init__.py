"""Folders written by ``save_pretrained``: networks of Hugging Face's transformers that label every pixel.

The layers are the library's own; nothing is downloaded, and no code that comes with a folder runs.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from segship.core.errors import ConfigError
from segship.core.files import digest
from segship.core.provenance import Provenance, default, read
from segship.core.spec import ModelSpec, SizeRule
from segship.datasets.class_names import layout_with, named_classes
from segship.networks.wrapped import WrappedNetwork
from segship.reading.documents import read_mapping
from segship.reading.options import merge_options
from segship.reading.weights import flush_denormals
from segship.sources import Framework, Loaded
from segship.sources.huggingface.families import find_family
from segship.sources.huggingface.folder import load_model, require_harmless
from segship.sources.huggingface.library import load_library
from segship.sources.huggingface.margins import Framed, find_margin, within
from segship.sources.huggingface.processor import BACKENDS, PROCESSOR_CONFIGS, load_processor, preprocessing
from segship.sources.huggingface.scores import channels, image_size, patch_size

if TYPE_CHECKING:
    from pathlib import Path

    from segship.sources import LoadRequest
    from segship.sources.huggingface.families import Family
    from segship.sources.huggingface.margins import Margin
    from segship.sources.huggingface.processor import Processor

__all__ = ["FRAMEWORK", "load", "recognises"]


_CONFIG = "config.json"
_MAXIMUM_JSON = 8 * 2**20
_PATCH = 8  # pixels; shorter ones are merged two by two, as strides of convolutions are
_SIZE = "image_size"
_BACKEND = "backend"
_TALL = (1000, 500)  # an image of a shape that a rule which keeps the aspect ratio gives another size


def recognises(path: Path) -> bool:
    """Return whether ``path`` is a folder with a ``config.json`` that names architectures, or that file."""
    file = path / _CONFIG if path.is_dir() else path
    if file.name != _CONFIG or not file.is_file() or file.stat().st_size > _MAXIMUM_JSON:
        return False
    try:
        values = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(values, dict) and "model_type" in values and isinstance(values.get("architectures"), list)


def load(request: LoadRequest) -> Loaded:
    """Read the network of a folder and what its processor says of images.

    Options are ``image_size=[h,w]`` for a graph of one size only, ``backend=torchvision`` for images resized as the
    library does it where torchvision is installed, and ``processor.NAME=value``, laid over the processor's config.
    """
    load_library()
    folder = request.path if request.path.is_dir() else request.path.parent
    config = read_mapping(folder / _CONFIG)
    require_harmless(folder, config)
    family = find_family(config)
    options = _options(request)
    found = load_processor(
        folder,
        config,
        options.get("processor") or {},
        backend=options.get(_BACKEND, BACKENDS[0]),
        ignore_unknown=request.ignore_unknown,
    )
    processor, notes = found.processor, found.notes
    model = load_model(folder, family.architecture, request.checkpoint, trust=request.trust)
    seen = preprocessing(found, channels(model.config))
    classes = _classes(model.config.id2label)
    binary = len(classes) == 1
    if binary:
        classes = ("background", *classes)
        notes.append("The network has one class: label 1 is where its probability passes one half")
    spec = ModelSpec(
        source="huggingface",
        architecture=family.architecture,
        classes=classes,
        palette=named_classes(len(classes), classes, layout=layout_with(classes)).palette,
        resize_logits="through_input" if family.through_input else "directly",
        output="sigmoid" if binary else "softmax",
        reduce_zero_label=bool(getattr(processor, "do_reduce_labels", False)),
        **seen,
    )
    module = family.adapt(model, folder)
    margin = find_margin(processor, spec.geometry)
    network = _network(family, module, margin, _size(options.get(_SIZE)), spec)
    sizes = network.sizes
    if sizes.fixed is not None and spec.slide is not None and spec.slide.crop != sizes.fixed:
        (height, width), (rows, columns) = spec.slide.crop, sizes.fixed
        raise ConfigError(
            f"the processor cuts images into {height}x{width}, but the network takes {rows}x{columns} only"
        )
    if (
        spec.slide is None
        and sizes.fixed is not None
        and any(step.plan(*_TALL).size != sizes.fixed for step in spec.geometry[-1:])
    ):
        notes.append(
            f"This network sees one size only: every image is resized to {sizes.fixed[0]}x{sizes.fixed[1]} "
            "(height x width)"
        )
    denormals = flush_denormals(network)
    provenance = _provenance(found, spec)
    return Loaded(spec, network, tuple(notes), _origin(folder), denormals, provenance=provenance)


def _network(
    family: Family, module: Any, margin: Margin | None, asked: tuple[int, int] | None, spec: ModelSpec
) -> WrappedNetwork:
    """The network, within its margin, and the sizes it takes."""
    patch, sizes = patch_size(module.model.config), _sizes(family, module, asked)
    if margin is not None:
        module, sizes = Framed(module, margin), within(sizes, margin, asked)
    channels_out = 1 if spec.output == "sigmoid" else None
    network = WrappedNetwork(module, len(spec.classes), out_channels=channels_out, sizes=sizes)
    whole = margin is not None and margin.multiple is not None  # sides are raised to whole patches, not cut
    network.patch = patch if patch >= _PATCH and not whole else 1
    network.requires_grad_(requires_grad=False).eval()
    return network


def _options(request: LoadRequest) -> dict[str, Any]:
    options = merge_options({}, request.options or {})
    wrong = sorted(set(options) - {_BACKEND, _SIZE, "processor"})
    if wrong:
        raise ConfigError(
            f"there is no option {wrong[0]!r}: image_size=[h,w], backend=torchvision and processor.NAME=value are"
        )
    if options.get(_BACKEND, BACKENDS[0]) not in BACKENDS:
        raise ConfigError(f"backend is {options[_BACKEND]!r:.40}, expected {' or '.join(BACKENDS)}")
    return options


def _provenance(found: Processor, spec: ModelSpec) -> Provenance:
    labels, known = read(f"{_CONFIG}: id2label"), layout_with(spec.classes)
    return Provenance(
        channel_order=found.reading("do_flip_channel_order"),
        normalization=found.reading("image_mean", "do_normalize"),
        size_rule=found.reading("size", "do_resize"),
        padding=default("transformers cuts the network's padding off itself"),
        inference=default("transformers shows the network the whole image"),
        output=labels,
        threshold=default("transformers takes one half, or the greatest score"),
        classes=labels,
        palette=default("made for as many classes" if known is None else f"the colours of {known.title}"),
        ignored=found.ignored,
    )


def _origin(folder: Path) -> dict[str, Any]:
    names = [_CONFIG, *PROCESSOR_CONFIGS, *(file.name for file in folder.glob("*.safetensors"))]
    return {name: digest(folder / name) for name in names if (folder / name).is_file()}


def _classes(id2label: dict[int, str]) -> tuple[str, ...]:
    return tuple(str(id2label[number]) for number in sorted(id2label))


def _sizes(family: Family, module: Any, asked: tuple[int, int] | None) -> SizeRule:
    """Which sizes a network takes: the config's only one, the one that is asked for, or any of a patch and more.

    Raises:
        ConfigError: The network takes one size only, and another is asked for.
    """
    config = module.model.config
    if family.fixed(module):
        only = image_size(config)
        if asked not in {None, only}:
            raise ConfigError(f"{family.architecture} takes images of {only[0]}x{only[1]} only: leave image_size out")
        return SizeRule(fixed=only)
    if asked is not None:
        return SizeRule(fixed=asked)
    least = patch_size(config) * family.least
    return SizeRule(minimum=(least, least))


def _size(value: Any) -> tuple[int, int] | None:
    """``image_size``: a number or (height, width)."""
    if value is None:
        return None
    sides = value if isinstance(value, (list, tuple)) else (value, value)
    if len(sides) != 2 or not all(isinstance(side, int) and side > 0 for side in sides):  # noqa: PLR2004
        raise ConfigError(f"image_size is {value!r:.60}, expected (height, width), as in image_size=[512,512]")
    return sides[0], sides[1]


FRAMEWORK = Framework(
    "Hugging Face",
    "a folder with config.json that names architectures, as save_pretrained writes it",
    recognises,
    load,
)
