"""Load, capture, convert, verify, write: the stages of every export, in their order."""

from __future__ import annotations

import importlib.util
import platform
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, cast

from segship import __version__
from segship.backends import backends, find_backend
from segship.core.errors import BackendError, MissingExtraError, UnsupportedError, VerificationError
from segship.core.files import digest, replace_directory, require_replaceable
from segship.core.manifest import MANIFEST, METADATA, Described, Manifest
from segship.core.memory import release_memory
from segship.core.versions import module_versions
from segship.deploy.embedding import Picture, compare_pictures, pictures, require_embeddable
from segship.deploy.lower import Lowering, lower
from segship.deploy.samples import TRACED, find_samples, verification_inputs
from segship.deploy.shapes import fit, resolve
from segship.runtime.package import Package
from segship.verification.compare import Sample, compare, failures

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from segship.core.artifacts import Backend, BackendInfo, Engine, Graph
    from segship.core.manifest import Check, Embedded
    from segship.core.spec import ModelSpec, SizeRule
    from segship.core.target import Target
    from segship.deploy.lower import Lowered
    from segship.sources import Loaded

__all__ = ["require_extra", "ship"]

_EXPORT_MODULES = ("torch", "onnx", "onnxscript")
_SUFFIXES = {"onnx": ".onnx", "pt2": ".pt2", "torchscript": ".pt", "openvino_ir": ".xml"}


def ship(
    load: Callable[[], Loaded],
    out: Path,
    target: Target,
    images: Sequence[str | Path],
    how: Lowering,
    on_stage: Callable[[str], None] | None,
    embed: tuple[Embedded, ...] = (),
) -> Package:
    """Make a verified package of what ``load`` returns.

    Args:
        load: Reads the network; called when nothing cheaper can fail any more.
        out: Folder to write.
        target: Engine, precision and shape.
        images: Images to verify with, besides the bundled scenes.
        how: How a lower precision is made and judged.
        on_stage: Called with the name of each stage as it begins.
        embed: What of the work on images the engine shall do itself.

    Raises:
        SegshipError: Something cannot be read, converted or verified; nothing was written.
    """
    tell = on_stage or (lambda _: None)
    require_extra()
    backend = find_backend(target.backend)
    target = _require_able(backend, target)
    samples = find_samples(images)
    require_replaceable(out, _is_package)
    tell("reading the network")
    loaded = load()
    target = resolve(target, loaded.spec, loaded.network.sizes)
    spec, sizes = fit(loaded.spec, loaded.network.sizes, target.shape)
    require_embeddable(target, spec, embed)
    _require_format(loaded, backend, target, embed)
    tell("running the network itself")
    expected: list[Sample] | list[Picture]
    if embed:
        expected = _seen(loaded, spec, sizes, samples)
    else:
        inputs = verification_inputs(spec, sizes, samples, batch=_takes_many(loaded, target))
        expected = _expected(loaded, list(inputs))
    with replace_directory(out, replaceable=_is_package) as directory:
        manifest, lowered = _build(loaded, spec, sizes, target, backend, directory, how, tell, embed)
        del loaded  # the engine is about to need the room
        tell("comparing the engine with the network")
        checks, differences = _verify(backend, manifest.engine(directory), expected, spec, target, embed)
        failed = (*differences, *lowered.failures)
        if failed and not how.allow_inexact:
            raise VerificationError("; ".join(failed))
        manifest = manifest.model_copy(update={"checks": checks, "failures": failed})
        manifest.write(directory)
    return Package(out, manifest)


def _verify(
    backend: Backend,
    engine: Engine,
    expected: list[Sample] | list[Picture],
    spec: ModelSpec,
    target: Target,
    embed: tuple[Embedded, ...] = (),
) -> tuple[tuple[Check, ...], list[str]]:
    """Run the engine on what the network has seen, unless it is one that other machines run."""
    devices = backend.probe()
    if not any(device.usable for device in devices):
        reason = f"the engine cannot be compared with the network here ({devices[0].note})"
        return (), [f"{reason}: only --allow-inexact writes it"]
    release_memory()
    session = backend.open(engine)
    if embed:
        checks = compare_pictures(cast("list[Picture]", expected), session, engine, spec, embed)
    else:
        checks = compare(cast("list[Sample]", expected), session, spec)
    return checks, failures(checks, target.precision)


def _takes_many(loaded: Loaded, target: Target) -> bool:
    """Whether the engine will take more than one image at once."""
    return target.shape.static is None and loaded.network.sizes.batch is None


def require_extra() -> None:
    """Check that what every export needs is installed.

    Raises:
        MissingExtraError: It is not.
    """
    for module in _EXPORT_MODULES:
        if importlib.util.find_spec(module) is None:
            raise MissingExtraError("Exporting", "export", module)


def _require_able(backend: Backend, target: Target) -> Target:
    """The target, its options as the backend's own types."""
    info = backend.INFO
    if target.precision not in info.precisions:
        reason = info.gaps.get(target.precision)
        raise BackendError(
            f"{info.title} engines are built as {', '.join(info.precisions)}, not {target.precision}"
            + (f": {reason}" if reason else "")
        )
    if not info.dynamic and target.shape.static is None and not target.shape.own:
        reason = info.gaps.get("dynamic")
        raise BackendError(
            f"{info.title} engines take one size only{f' ({reason})' if reason else ''}: "
            "say which, as in --shape static-512x1024, or --shape static for the network's own"
        )
    return target.model_copy(update={"options": info.read_options(target.options)})


def _require_format(loaded: Loaded, backend: Backend, target: Target, embed: tuple[Embedded, ...]) -> None:
    """Networks that come as a graph of one engine's own are for that engine, and as they are.

    Raises:
        UnsupportedError: Something else is asked for.
    """
    own, info = loaded.network.graph_format, backend.INFO
    if own is None:
        return
    instead = "bring the ONNX file or the network that it was made of"
    if own not in info.reads:
        readers = {name: each.INFO.title for name, each in backends().items() if own in each.INFO.reads}
        raise UnsupportedError(
            f"the network comes as a model of {' or '.join(readers.values())}, which {info.title} cannot read: "
            f"choose --backend {' or '.join(readers)}, or {instead}"
        )
    comes = f"the network comes as a model of {info.title}: {instead}"
    if target.precision in info.lowered:
        raise UnsupportedError(f"{target.precision} is made from ONNX, and {comes}")
    if embed:
        raise UnsupportedError(f"--embed adds to a graph of ONNX, and {comes}")


def _is_package(directory: Path) -> bool:
    return (directory / MANIFEST).is_file()


def _build(
    loaded: Loaded,
    spec: ModelSpec,
    sizes: SizeRule,
    target: Target,
    backend: Backend,
    directory: Path,
    how: Lowering,
    tell: Callable[[str], None],
    embed: tuple[Embedded, ...],
) -> tuple[Manifest, Lowered]:
    release_memory()
    with tempfile.TemporaryDirectory(dir=directory.parent, prefix=f"{directory.name}.graph.") as scratch:
        tell("capturing the network as a graph")
        graph = _capture(loaded, spec, sizes, target, backend, Path(scratch), embed)
        release_memory()
        tell(f"building the {backend.INFO.title} engine")
        lowered = lower(
            graph,
            target,
            backend,
            directory,
            how,
            spec=spec,
            sizes=sizes,
            tell=tell,
            finish=_finish(spec, backend.INFO, embed),
        )
    engine = lowered.engine
    manifest = Manifest(
        spec=spec,
        target=target,
        inputs=engine.inputs,
        outputs=engine.outputs,
        sizes=sizes,
        embed=embed,
        files={name: digest(directory / name) for name in engine.files},
        options=dict(engine.options),
        quantization=lowered.quantization,
        origin=loaded.origin,
        versions=_versions(backend),
        notes=(*loaded.notes, *_told(loaded)),
    )
    return manifest, lowered


def _finish(spec: ModelSpec, info: BackendInfo, embed: tuple[Embedded, ...]) -> Callable[[Graph], Graph]:
    """What is done to the graph before the engine is built of it."""

    def finish(graph: Graph) -> Graph:
        if not embed:
            return graph
        from segship.onnxgraph.image.postprocess import embed as embed_in

        path = graph.path.parent / "whole" / graph.path.name
        path.parent.mkdir()
        return embed_in(graph, path, spec, embed, classes_last=info.classes_last)

    return finish


def _capture(
    loaded: Loaded,
    spec: ModelSpec,
    sizes: SizeRule,
    target: Target,
    backend: Backend,
    folder: Path,
    embed: tuple[Embedded, ...],
) -> Graph:
    """The network in the format the backend converts from."""
    from segship.capture import CaptureOptions, capture

    own = loaded.network.graph_format
    kind = own if own in backend.INFO.reads else backend.INFO.graph
    options = CaptureOptions(
        size=sizes.nearest(*TRACED),
        channels=spec.channels,
        dynamic=target.shape.static is None,
        metadata={METADATA: Described(spec=spec, sizes=sizes, target=target, embed=embed).model_dump_json()},
        opset=backend.INFO.opset,
    )
    return capture(loaded.network, folder / f"model{_SUFFIXES[kind]}", options, format=kind)


def _told(loaded: Loaded) -> Iterator[str]:
    if loaded.denormals:
        yield f"{loaded.denormals} denormal weights were set to zero: they cost time and change no label"


def _versions(backend: Backend) -> dict[str, str]:
    found = module_versions((*_EXPORT_MODULES, "numpy", "cv2", *backend.INFO.modules))
    installed = {name: version for name, version in found.items() if version is not None}
    return {"python": platform.python_version(), "segship": __version__} | installed


def _seen(loaded: Loaded, spec: ModelSpec, sizes: SizeRule, samples: Sequence[Path]) -> list[Picture]:
    """What the network itself makes of images."""
    from segship.networks.session import EagerSession

    return pictures(EagerSession(loaded.network), spec, sizes, samples)


def _expected(loaded: Loaded, inputs: list[tuple[str, NDArray[np.float32]]]) -> list[Sample]:
    """What the network itself makes of the inputs."""
    from segship.networks.session import EagerSession

    session = EagerSession(loaded.network)
    return [Sample(name, image, session.run({"image": image})["logits"]) for name, image in inputs]
