"""Engine files that lie alone: what they are, from the metadata that Segship wrote into them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from segship.backends import DEFAULT, backend_of_file, find_backend, find_file_backend
from segship.core.artifacts import TensorInfo
from segship.core.errors import BackendError, PackageError
from segship.core.files import digest
from segship.core.manifest import Manifest
from segship.core.plan import METADATA, EmbeddedSpec
from segship.core.target import Shape, Target

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from segship.core.artifacts import Engine
    from segship.core.spec import SizeRule

__all__ = ["is_described", "is_engine_file", "read_engine_file"]


def is_engine_file(path: Path) -> bool:
    """Return whether ``path`` is called like the file of an engine that opens lone files."""
    return path.exists() and backend_of_file(path) is not None


def is_described(path: Path) -> bool:
    """Return whether ``path`` is the file of an engine, and says what it is; never raises."""
    if not is_engine_file(path):
        return False
    try:
        return METADATA in _inspect(path)[2]
    except BackendError:
        return False


def read_engine_file(path: Path) -> Manifest:
    """Return the metadata of a lone file as a manifest.

    Raises:
        PackageError: It says nothing, or nothing that this version understands.
        BackendError: It cannot be read.
    """
    backend, engine, metadata = _inspect(path)
    described = _embedded(path, metadata)
    inputs, outputs = engine.inputs or (_image(described),), engine.outputs or (_logits(),)
    return Manifest(
        spec=described.spec,
        target=described.target or Target(backend=backend, shape=_shape(described.sizes)),
        inputs=inputs,
        outputs=outputs,
        sizes=described.sizes,
        embed=described.embed,
        files={name: digest(engine.directory / name) for name in engine.files},
        options=dict(engine.options) | _precision(described),
    )


def _inspect(path: Path) -> tuple[str, Engine, Mapping[str, str]]:
    backend = backend_of_file(path)
    if backend is None:
        raise PackageError(f"{path} is not the file of an engine that is known here")
    return backend, *find_file_backend(backend).inspect(path)


def _embedded(path: Path, metadata: Mapping[str, str]) -> EmbeddedSpec:
    text = metadata.get(METADATA)
    if text is None:
        raise PackageError(_undescribed(path))
    return EmbeddedSpec.read(text, path)


def _undescribed(path: Path) -> str:
    nothing = f"{path} does not say what it is: it carries no metadata {METADATA!r}, which Segship writes"
    backend = backend_of_file(path)
    if backend is None or not find_backend(backend).INFO.is_source:
        return f"{nothing}. Open the package it belongs to, or export the network again"
    chosen = "" if backend == DEFAULT else f" --backend {backend}"
    return (
        f"{nothing}. Describe it in {path.with_suffix('.yaml').name} beside it (classes, normalization, geometry) or "
        f"by --cfg-options, and make a package of it: segship export {path} OUT{chosen}"
    )


def _image(described: EmbeddedSpec) -> TensorInfo:
    """The input of a file whose format does not tell it."""
    sides: tuple[int | str, ...] = described.sizes.fixed or ("height", "width")
    alone = described.target is not None and described.target.shape.static is not None
    batch = 1 if alone else described.sizes.batch or "batch"
    return TensorInfo(name="image", dtype="float32", shape=(batch, described.spec.channels, *sides))


def _logits() -> TensorInfo:
    return TensorInfo(name="logits", dtype="float32", shape=("batch", "classes", "logits_height", "logits_width"))


def _shape(sizes: SizeRule) -> Shape:
    return Shape() if sizes.fixed is None else Shape.only(*sizes.fixed)


def _precision(described: EmbeddedSpec) -> dict[str, str]:
    return {} if described.target is None else {"precision": described.target.precision}
