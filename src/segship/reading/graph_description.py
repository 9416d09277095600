"""Descriptions of networks that come as graphs: named by the user, beside the file, or noted in it; and its ports."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from segship.core.plan import METADATA
from segship.reading.description import read_description, read_embedded
from segship.reading.options import merge_options
from segship.reading.ports import fixed, only_image, only_output, sizes_of
from segship.reading.returned import find_returned, probe_images

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from segship.core.artifacts import TensorInfo
    from segship.core.spec import SizeRule
    from segship.networks.graph import GraphNetwork
    from segship.reading.description import Described, Description
    from segship.reading.normalization import Preset

__all__ = ["DescribedGraph", "LocatedDescription", "describe_graph", "find_description"]

_RGB = 3
_SUFFIXES = (".yaml", ".yml")
_LAST = "The network takes its image channels last, (N, H, W, channels): a transpose was put before it."


class LocatedDescription(NamedTuple):
    """A description and where it comes from.

    Attributes:
        values: A YAML file, or its content; None: nothing is said.
        files: Files it was read from.
        notes: Notes for the user.
        place: What ``values`` is, where it is no file: ``its metadata``; empty: the graph's file.
    """

    values: Path | Mapping[str, Any] | None
    files: tuple[Path, ...] = ()
    notes: tuple[str, ...] = ()
    place: str = ""


def find_description(
    named: Path | Mapping[str, Any] | None, path: Path, metadata: Mapping[str, str]
) -> LocatedDescription | None:
    """Return the description that the user names, else ``NAME.yaml`` beside the graph, else Segship's own note in it.

    Args:
        named: What the user names, or None.
        path: The graph's file.
        metadata: Text that the graph carries, by name.

    Returns:
        None where there is none of the three.

    Raises:
        ConfigError: The note is not what this version writes.
    """
    if named is not None:
        return LocatedDescription(named, (named,) if isinstance(named, Path) else (), place="the description")
    for suffix in _SUFFIXES:
        file = path.with_suffix(suffix)
        if file.is_file():
            return LocatedDescription(file, (file,))
    if not metadata.get(METADATA):
        return None
    return LocatedDescription(read_embedded(metadata[METADATA], path), place=f"{path.name}: metadata {METADATA}")


@dataclass(frozen=True)
class DescribedGraph:
    """A graph's ports and what they mean.

    Attributes:
        description: What is said of the network.
        path: The graph's file, for messages.
        image: The input, (N, C, H, W).
        last: Whether its channels are in truth the last axis.
        output: The output that counts.
        sizes: Which input sizes the graph takes.
        channels: Number of channels of the image.
    """

    description: Description
    path: Path
    image: TensorInfo
    last: bool
    output: TensorInfo
    sizes: SizeRule
    channels: int

    def settle(self, network: GraphNetwork, source: str, architecture: str) -> Described:
        """Run the network, and let it and its description know of each other.

        Args:
            network: The graph's network.
            source: Name of the source.
            architecture: What the network is, where the description does not say.

        Returns:
            What the network expects and means, notes for the user, and from where all that was read.

        Raises:
            ConfigError: The description is of another network.
            UnsupportedError: The network does not run, or returns neither scores nor labels.
        """
        said = self.description
        normalization = said.normalized(str(self.path), self.channels)
        images = probe_images(normalization, said.seen(self.channels), self.sizes)
        found = find_returned(network, images, str(self.path), said=said.returns, classes=said.count, last=self.last)
        network.arrange(found.arrangement)
        described = said.spec(
            source=source,
            architecture=architecture,
            outputs=found.channels,
            channels=self.channels,
            returns=found.returns,
            guessed=found.guessed,
        )
        network.describe(len(described.spec.classes), found.channels, align_corners=described.spec.align_corners)
        return described._replace(notes=(*described.notes, *((_LAST,) if self.last else ()), *found.notes))


def describe_graph(
    path: Path,
    ports: tuple[Sequence[TensorInfo], Sequence[TensorInfo]],
    found: LocatedDescription,
    options: Mapping[str, Any] | Sequence[str] | None,
    normalize: Preset | None = None,
    inside: Callable[[str], Preset | None] = lambda _: None,
) -> DescribedGraph:
    """Return which ports of a graph count, and what is said of them.

    Args:
        path: The graph's file, for messages.
        ports: All inputs and all outputs of the graph.
        found: The description.
        options: Laid over the description; ``output_name`` chooses among several outputs.
        normalize: How images are normalised, where the description does not say.
        inside: Tells what a graph that normalises its image itself is to be given, from the name of its input.

    Raises:
        ConfigError: The description cannot be used, or nothing says how images are normalised.
        UnsupportedError: The graph does not take one image, or no output holds scores or labels.
    """
    changes = merge_options({}, options or {})
    output_name = changes.pop("output_name", None)
    described = read_description(found.values, changes, place=found.place or path.name, normalize=normalize)
    (image, last), output = only_image(ports[0], path), only_output(ports[1], output_name, path)
    if described.normalization is None and (preset := inside(image.name)) is not None:
        described = described.normalized_inside(preset, f"the first operators of {path.name}")
    normalization = described.normalization
    channels = fixed(image, 1) or (normalization and normalization.channels) or _RGB
    described.normalized(str(path), channels)  # is asked for before anything runs
    return DescribedGraph(described, path, image, last, output, sizes_of(image, described.sizes), channels)
