"""Descriptions of networks that come as graphs: named by the user, beside the file, or noted in it; and its ports."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from segship.core.errors import ConfigError
from segship.core.plan import METADATA
from segship.reading.description import read_description, read_noted
from segship.reading.options import merge_options
from segship.reading.ports import fixed, is_labels, only_image, scores_or_labels, sizes_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from segship.core.artifacts import TensorInfo
    from segship.core.spec import SizeRule
    from segship.networks.graph import GraphNetwork
    from segship.reading.description import Described, Description

__all__ = ["DescribedGraph", "LocatedDescription", "describe_graph", "find_description"]

_SUFFIXES = (".yaml", ".yml")
_CLASSES_MISSING = (
    "returns labels, so the number of classes must be told: classes: [road, …], or a number, in a YAML file beside it, "
    "or --cfg-options classes=[road,…]"
)


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
    return LocatedDescription(read_noted(metadata[METADATA], path), place=f"{path.name}: metadata {METADATA}")


@dataclass(frozen=True)
class DescribedGraph:
    """A graph's ports and what they mean.

    Attributes:
        description: What is said of the network.
        image: The input.
        output: The output that counts.
        labels: Number of classes where the output holds labels; None for scores.
        sizes: Which input sizes the graph takes.
        channels: Number of channels of the image.
    """

    description: Description
    image: TensorInfo
    output: TensorInfo
    labels: int | None
    sizes: SizeRule
    channels: int

    def settle(self, network: GraphNetwork, source: str, architecture: str) -> Described:
        """Run the network once, and let it and its description know of each other.

        Args:
            network: The graph's network.
            source: Name of the source.
            architecture: What the network is, where the description does not say.

        Returns:
            What the network expects and means, notes for the user, and from where all that was read.

        Raises:
            ConfigError: The description is of another network.
            UnsupportedError: The network does not run, or returns no scores.
        """
        outputs = network.probe(self.channels)
        described = self.description.spec(
            source=source, architecture=architecture, outputs=outputs, channels=self.channels
        )
        network.describe(len(described.spec.classes), outputs, align_corners=described.spec.align_corners)
        return described


def describe_graph(
    path: Path,
    ports: tuple[Sequence[TensorInfo], Sequence[TensorInfo]],
    found: LocatedDescription,
    options: Mapping[str, Any] | Sequence[str] | None,
) -> DescribedGraph:
    """Return which ports of a graph count, and what is said of them.

    Args:
        path: The graph's file, for messages.
        ports: All inputs and all outputs of the graph.
        found: The description.
        options: Laid over the description; ``output_name`` chooses among several outputs.

    Raises:
        ConfigError: The description cannot be used, or does not tell the number of classes where it must.
        UnsupportedError: The graph does not take one image, or no output holds scores or labels.
    """
    changes = merge_options({}, options or {})
    output_name = changes.pop("output_name", None)
    described = read_description(found.values, changes, place=found.place or path.name)
    image, output = only_image(ports[0], path), scores_or_labels(ports[1], output_name, path)
    labels = described.count if is_labels(output) else None
    if is_labels(output) and labels is None:
        raise ConfigError(f"{path} {_CLASSES_MISSING}")
    channels = fixed(image, 1) or len(described.normalization.mean or (0, 0, 0))
    return DescribedGraph(described, image, output, labels, sizes_of(image, described.sizes), channels)
