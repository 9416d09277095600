"""Give values of a model other names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from segship.onnxgraph.operators import subgraphs_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    import onnx

__all__ = ["rename_values"]


def rename_values(model: onnx.ModelProto, names: Mapping[str, str]) -> bool:
    """Rename values wherever they are used, in branches and loops as well.

    Args:
        model: The model; changed in place.
        names: The new name of each value. Where another value has that name already, it becomes ``<name>_before``.

    Returns:
        Whether a value was renamed.
    """
    given = {new: f"{new}_before" for new in names.values() if new not in names} | dict(names)
    renamed = False
    for part in subgraphs_of(model.graph):
        for value in (*part.input, *part.output, *part.initializer, *part.value_info):
            if value.name in given:
                value.name, renamed = given[value.name], True
        for node in part.node:
            for values in (node.input, node.output):
                if not given.keys().isdisjoint(values):
                    values[:], renamed = [given.get(value, value) for value in values], True
    return renamed
