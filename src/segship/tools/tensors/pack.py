"""Images -> raw inputs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from segship.core.artifacts import Session
from segship.core.errors import InputError
from segship.core.files import holds_only, replace_directory
from segship.core.manifest import MANIFEST, read_manifest
from segship.core.plan import NetworkSpec
from segship.runtime.pipeline import Pipeline
from segship.sources import Source
from segship.tools.tensors.index import INDEX, TABLE, Index, Packed, StoredEncoding, TensorFile, read_index
from segship.vision.bands import read_pixels

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from segship.datasets.label_encoding import LabelEncoding
    from segship.datasets.samples import Sample

__all__ = ["pack", "read_network"]


def read_network(source: str | Path | Source) -> NetworkSpec:
    """Read the network's spec from a package, or from a framework's config or folder.

    Args:
        source: A package; anything else needs torch.

    Returns:
        What `pack` needs to know of it.

    Raises:
        SegshipError: It cannot be read.
    """
    if not isinstance(source, Source) and (Path(source) / MANIFEST).is_file():
        manifest = read_manifest(Path(source))
        return NetworkSpec(spec=manifest.spec, sizes=manifest.sizes)
    from segship import deploy  # asks for torch

    spec, sizes, *_ = deploy.describe(source)
    return NetworkSpec(spec=spec, sizes=sizes)


def pack(
    network: NetworkSpec,
    samples: Sequence[Sample],
    encoding: LabelEncoding,
    to: str | Path,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> Index:
    """Write the network's inputs for a data set: raw float32, one file each, and the index.

    Args:
        network: As `read_network` returned it.
        samples: Images and label maps, as `segship.datasets.samples` finds them.
        encoding: What the label maps mean, as `segship.datasets.label_encoding` says.
        to: Folder to write; it appears whole or not at all.
        progress: Called with (done, all) after each image.

    Returns:
        What was written.

    Raises:
        InputError: An image cannot be used, two have the same name, or the folder holds something else.
    """
    if not samples:
        raise InputError("there is no image to pack")
    items: list[Packed] = []
    with replace_directory(Path(to), replaceable=_is_packed) as folder:
        for done, (sample, stem) in enumerate(zip(samples, _stems(samples), strict=True), start=1):
            items.append(_pack(network, sample, stem, folder))
            if progress is not None:
                progress(done, len(samples))
        index = Index(spec=network.spec, sizes=network.sizes, coding=StoredEncoding.of(encoding), items=tuple(items))
        index.write(folder)
    return index


def _is_packed(folder: Path) -> bool:
    """Whether ``folder`` is what an earlier run wrote, and nothing else."""
    try:
        index = read_index(folder)
    except InputError:
        return False
    names = {INDEX, TABLE}
    for item in index.items:
        names |= {item.labels or "", *(tensor.file for tensor in item.inputs)}
    return holds_only(folder, names)


def _stems(samples: Sequence[Sample]) -> list[str]:
    stems = [sample.name.replace("/", "__") for sample in samples]
    if len(set(stems)) < len(stems):
        twice = next(stem for stem in stems if stems.count(stem) > 1)
        raise InputError(f"two images would be packed as {twice}.bin: rename one")
    return stems


def _pack(network: NetworkSpec, sample: Sample, stem: str, folder: Path) -> Packed:
    pixels = read_pixels(sample.image, network.spec)
    recorder = _Recorder()
    Pipeline(recorder, network.spec, network.sizes).labels(pixels, "bgr")
    names = [stem] if network.spec.slide is None else [f"{stem}_w{place:03}" for place in range(len(recorder.inputs))]
    files = []
    for name, tensor in zip(names, recorder.inputs, strict=True):
        little = np.ascontiguousarray(tensor, "<f4")
        (folder / f"{name}.bin").write_bytes(little.tobytes())
        files.append(TensorFile(file=f"{name}.bin", shape=little.shape))
    return Packed(
        name=sample.name,
        image=str(sample.image.absolute()),
        labels=None if sample.labels is None else str(sample.labels.absolute()),
        table=None if sample.table is None else dict(sample.table),
        size=(pixels.shape[0], pixels.shape[1]),
        inputs=tuple(files),
    )


class _Recorder(Session):
    """A Session that keeps its inputs and answers with next to nothing: packing is the same code as predicting."""

    def __init__(self) -> None:
        self.inputs: list[NDArray[np.float32]] = []

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
        self.inputs.append(feeds["image"])
        return {"logits": np.zeros((len(feeds["image"]), 1, 1, 1), np.float32)}
