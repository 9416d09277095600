"""From a trained network to a verified package: the one place that knows all stages."""

from __future__ import annotations

import importlib
import importlib.metadata
import platform
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segship.backends import find_backend
from segship.core.errors import InputError, MissingExtraError, SizeError
from segship.core.files import digest, replace_directory, require_replaceable
from segship.core.manifest import MANIFEST, Manifest
from segship.core.spec import ModelSpec, Padding, Resize, SizeRule
from segship.core.target import Shape, Target
from segship.graph.check import Sample, compare, require
from segship.vision.decode import find_images, read_image
from segship.vision.preprocess import prepare

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray
    from torch import nn

    from segship.core.artifacts import Backend
    from segship.sources import Loaded

__all__ = ["Package", "describe", "export", "export_module"]

_SCENES = Path(__file__).parent / "assets" / "demo" / "images"
_MOST_SAMPLES = 16
_TRACED = (128, 192)
_UNTRACED = ((161, 225), (96, 160))  # the first odd, where the network allows it


@dataclass(frozen=True)
class Package:
    """An exported package.

    Attributes:
        path: Its folder.
        manifest: What it is, with the figures of its verification.
    """

    path: Path
    manifest: Manifest


def export(
    config: str | Path,
    checkpoint: str | Path | None,
    out: str | Path,
    backend: str = "onnxruntime",
    shape: str = "dynamic",
    *,
    images: Sequence[str | Path] = (),
    cfg_options: Sequence[str] = (),
    source: str | None = None,
    spec: str | Path | Mapping[str, Any] | None = None,
    trust: bool = False,
    on_stage: Callable[[str], None] | None = None,
) -> Package:
    """Turn a trained network into a verified package.

    Args:
        config: The framework's config, folder or file.
        checkpoint: The trained weights; None where ``config`` brings them.
        out: Folder to write. It appears whole or not at all; an older package there is replaced only when the new one
            is complete.
        backend: Inference engine.
        shape: ``dynamic`` or ``static-HxW``.
        images: Images to verify with, at the size the network will see them; bundled scenes are used besides.
        cfg_options: Overrides of the config, ``"key.sub=value"``.
        source: Framework the files come from; None: recognised by what they are.
        spec: What the network expects and means, for sources that do not say: a YAML file or its content.
        trust: Load a checkpoint that can only be read by running the code it carries; run the user's own modules.
        on_stage: Called with the name of each stage as it begins.

    Returns:
        The package and its manifest.

    Raises:
        SegshipError: Something cannot be read, converted or verified; nothing was written.
    """

    def load() -> Loaded:
        from segship import sources  # noqa: PLC0415  (imports torch, whose absence has been told by now)

        return sources.load(config, checkpoint, source=source, cfg_options=cfg_options, spec=spec, trust=trust)

    return _ship(load, Path(out), Target(backend=backend, shape=Shape.parse(shape)), images, on_stage)


def export_module(
    module: nn.Module,
    spec: ModelSpec | str | Path | Mapping[str, Any],
    out: str | Path,
    target: str | Target = "onnxruntime_dynamic",
    *,
    sizes: SizeRule | None = None,
    images: Sequence[str | Path] = (),
    on_stage: Callable[[str], None] | None = None,
) -> Package:
    """Turn a module of yours into a verified package.

    Args:
        module: float32 (N, C, H, W), normalised -> scores (N, K, h, w); as a tensor, the first of a tuple, or under
            ``"out"`` or ``"logits"`` of a dictionary. It is put into evaluation mode, on the CPU.
        spec: What it expects and means: a ModelSpec, a YAML file, or the content of one.
        out: Folder to write, as for `export`.
        target: Engine, precision and shape.
        sizes: Which input sizes it takes; None: what ``spec`` says, else any.
        images: As for `export`.
        on_stage: As for `export`.

    Returns:
        The package and its manifest.

    Raises:
        SegshipError: Something cannot be read, converted or verified; nothing was written.
    """

    def load() -> Loaded:
        from segship.sources import python  # noqa: PLC0415  (imports torch, whose absence has been told by now)

        return python.load_module(module, spec, sizes=sizes)

    chosen = target if isinstance(target, Target) else Target.parse(target)
    return _ship(load, Path(out), chosen, images, on_stage)


def describe(
    config: str | Path, checkpoint: str | Path | None = None, **options: Any
) -> tuple[ModelSpec, SizeRule, tuple[str, ...]]:
    """What a trained network expects and means, before anything is exported.

    Args:
        config: As for `export`.
        checkpoint: As for `export`; may be left out.
        **options: ``source``, ``cfg_options``, ``spec``, ``trust``, as for `export`.

    Returns:
        The spec, the sizes it takes, and notes.

    Raises:
        SegshipError: It cannot be read.
    """
    _require_extra()
    from segship import sources  # noqa: PLC0415

    loaded = sources.load(config, checkpoint, **options)
    return loaded.spec, loaded.network.sizes, loaded.notes


def _ship(
    load: Callable[[], Loaded],
    out: Path,
    target: Target,
    images: Sequence[str | Path],
    on_stage: Callable[[str], None] | None,
) -> Package:
    """Load, convert, verify, write."""
    tell = on_stage or (lambda _: None)
    _require_extra()
    engine_maker = find_backend(target.backend)
    samples = _samples(images)
    require_replaceable(out, _is_package)
    tell("reading the network")
    loaded = load()
    spec, sizes = _fit(loaded.spec, loaded.network.sizes, target.shape)
    tell("running the network itself")
    expected = _expected(loaded, list(_inputs(spec, sizes, target.shape, samples)))
    with replace_directory(out, replaceable=_is_package) as directory:
        tell("capturing the network as a graph")
        manifest = _build(loaded, spec, sizes, target, engine_maker, directory)
        del loaded  # the engine is about to need the room
        tell("comparing the engine with the network")
        checks = compare(expected, engine_maker.open(manifest.engine(directory)), spec)
        require(checks, target.precision)
        manifest = manifest.model_copy(update={"checks": checks})
        manifest.write(directory)
    return Package(out, manifest)


def _samples(images: Sequence[str | Path]) -> list[tuple[str, NDArray[np.uint8]]]:
    """The user's images, at most a few, spread over all that were given."""
    files = find_images([Path(image) for image in images]) if images else []
    files = files[:: max(1, -(-len(files) // _MOST_SAMPLES))]
    return [(file.name, read_image(file)) for file in files]


def _is_package(directory: Path) -> bool:
    return (directory / MANIFEST).is_file()


def _require_extra() -> None:
    for module in ("torch", "onnx", "onnxscript"):
        try:
            importlib.import_module(module)
        except ImportError as error:
            raise MissingExtraError("Exporting", "export", module) from error


def _fit(spec: ModelSpec, rule: SizeRule, shape: Shape) -> tuple[ModelSpec, SizeRule]:
    """The spec and the size rule of a package whose engine takes ``shape``.

    A static engine sees every image resized to its size, or window by window where the network slides.
    """
    only = shape.static or rule.fixed
    if only is None:
        return _padded(spec, rule), rule
    if not rule.allows(*only):
        raise SizeError(f"the shape is {only[0]}x{only[1]}, this network takes {rule}")
    if spec.slide is None:
        resize = Resize(width=only[1], height=only[0], keep_ratio=False)
        return spec.model_copy(update={"geometry": (resize,), "padding": None}), SizeRule(fixed=only)
    if spec.slide.crop != only:
        crop = "x".join(map(str, spec.slide.crop))
        raise SizeError(
            f"the shape is {only[0]}x{only[1]}, but this network slides a window of {crop}: use static-{crop}"
        )
    padding = Padding(height=only[0], width=only[1])
    return spec.model_copy(update={"padding": padding}), SizeRule(fixed=only)


def _padded(spec: ModelSpec, rule: SizeRule) -> ModelSpec:
    """Where the network wants multiples and the framework would refuse other sizes, pad to the next multiple."""
    if rule.multiple_of == 1 or spec.slide is not None or spec.padding is not None:
        return spec
    return spec.model_copy(update={"padding": Padding(multiple_of=rule.multiple_of)})


def _build(
    loaded: Loaded, spec: ModelSpec, sizes: SizeRule, target: Target, backend: Backend, directory: Path
) -> Manifest:
    from segship.graph.capture import capture_onnx  # noqa: PLC0415

    with tempfile.TemporaryDirectory(dir=directory.parent, prefix=f"{directory.name}.graph.") as scratch:
        graph = capture_onnx(
            loaded.network,
            Path(scratch) / "model.onnx",
            size=sizes.nearest(*_TRACED),
            channels=spec.channels,
            dynamic=target.shape.static is None,
        )
        engine = backend.convert(graph, target, directory)
    return Manifest(
        spec=spec,
        target=target,
        inputs=engine.inputs,
        outputs=engine.outputs,
        sizes=sizes,
        files={name: digest(directory / name) for name in engine.files},
        options=dict(engine.options),
        origin=loaded.origin,
        versions=_versions(backend),
        notes=(*loaded.notes, *_told(loaded)),
    )


def _told(loaded: Loaded) -> Iterator[str]:
    if loaded.denormals:
        yield f"{loaded.denormals} denormal weights were set to zero: they cost time and change no label"


def _versions(backend: Backend) -> dict[str, str]:
    tools = ("segship", "torch", "onnx", "onnxscript", "numpy", "opencv-python-headless", *backend.INFO.modules)
    return {"python": platform.python_version()} | {tool: importlib.metadata.version(tool) for tool in tools}


def _expected(loaded: Loaded, inputs: list[tuple[str, NDArray[np.float32]]]) -> list[Sample]:
    """What the network itself makes of the inputs."""
    from segship.models.session import EagerSession  # noqa: PLC0415

    session = EagerSession(loaded.network)
    return [Sample(name, image, session.run({"image": image})["logits"]) for name, image in inputs]


def _inputs(
    spec: ModelSpec, sizes: SizeRule, shape: Shape, samples: list[tuple[str, NDArray[np.uint8]]]
) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Real images at the traced size, at two others, and two at once; then the user's at their own size."""
    import numpy as np  # noqa: PLC0415

    scenes = [read_image(path) for path in find_images([_SCENES])[:2]]
    every = list(dict.fromkeys(sizes.nearest(*size) for size in (_TRACED, *_UNTRACED)))
    for size in every:
        yield "scene", _at(scenes[0], spec, size)
    if shape.static is None:
        yield "scenes", np.concatenate([_at(scene, spec, every[-1]) for scene in scenes])
    for name, image in samples:
        tensor = prepare(image, spec).tensor
        if spec.slide is not None:
            tensor = tensor[:, :, : spec.slide.crop[0], : spec.slide.crop[1]]
        if not sizes.allows(*tensor.shape[2:]):
            raise InputError(f"{name} becomes {tensor.shape[2]}x{tensor.shape[3]}, this package takes {sizes}")
        yield name, tensor


def _at(image: NDArray[np.uint8], spec: ModelSpec, size: tuple[int, int]) -> NDArray[np.float32]:
    resize = Resize(height=size[0], width=size[1], keep_ratio=False)
    return prepare(image, spec.model_copy(update={"geometry": (resize,), "padding": None})).tensor
