"""The modules of a network as a tree, with the shapes of what each returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from segship.core.errors import SizeError
from segship.tools.flops.cost import DEFAULT
from segship.tools.flops.network import shadow

if TYPE_CHECKING:
    from collections.abc import Iterator

    from segship.networks.network import Network

__all__ = ["Node", "network_graph"]

_SHOWN = 6


@dataclass(frozen=True)
class Node:
    """One module.

    Attributes:
        name: Its attribute in the module around it; empty for the network.
        type: Its class.
        settings: What it was made with, as PyTorch prints it: ``"3, 64, kernel_size=(7, 7)"``.
        params: Number of weights, those inside it included.
        shapes: Shape of each tensor it returns on one image; empty for modules that only training runs.
        children: The modules inside it.
    """

    name: str
    type: str
    settings: str
    params: int
    shapes: tuple[tuple[int, ...], ...]
    children: tuple[Node, ...]

    def lines(self, depth: int | None = None, indent: int = 0) -> Iterator[str]:
        """Yield the tree as text, one module a line, ``depth`` levels deep; None: all."""
        name = f"{self.name}: " if self.name else ""
        settings = f"({self.settings})" if self.settings else ""
        shapes = ", ".join("x".join(map(str, shape)) or "scalar" for shape in self.shapes[:_SHOWN])
        yield f"{'  ' * indent}{name}{self.type}{settings}{f' -> {shapes}' if shapes else ''}"
        if depth is None or indent < depth:
            for child in self.children:
                yield from child.lines(depth, indent + 1)


def network_graph(network: Network, shape: tuple[int, int] | None = None, *, channels: int = 3) -> Node:
    """Return the tree of a network's modules, without computing anything.

    Args:
        network: In evaluation mode; it is left as it is.
        shape: (height, width) of the image; None: 512x1024, or the nearest size that it takes.
        channels: Channels of the image.

    Raises:
        SizeError: The network does not take this size.
    """
    height, width = shape or network.sizes.nearest(*DEFAULT)
    if not network.sizes.allows(height, width):
        raise SizeError(f"the shape is {height}x{width}, this network takes {network.sizes}")
    twin = shadow(network)
    shapes: dict[torch.nn.Module, tuple[tuple[int, ...], ...]] = {}

    def note(module: torch.nn.Module, _: Any, result: Any) -> None:
        shapes[module] = tuple(_shapes(result))

    for module in twin.modules():
        module.register_forward_hook(note)
    with torch.no_grad():
        twin(torch.empty(1, channels, height, width, device="meta"))
    return _node("", twin, shapes)


def _node(name: str, module: torch.nn.Module, shapes: dict[torch.nn.Module, tuple[tuple[int, ...], ...]]) -> Node:
    return Node(
        name=name,
        type=type(module).__name__,
        settings=module.extra_repr().replace("\n", ", "),
        params=sum(weight.numel() for weight in module.parameters()),
        shapes=shapes.get(module, ()),
        children=tuple(_node(child, inner, shapes) for child, inner in module.named_children()),
    )


def _shapes(result: Any) -> Iterator[tuple[int, ...]]:
    if isinstance(result, Tensor):
        yield tuple(result.shape)
    elif isinstance(result, (list, tuple)):
        for item in result:
            yield from _shapes(item)
    elif isinstance(result, dict):
        yield from _shapes(tuple(result.values()))
