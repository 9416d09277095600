"""How much a network computes: multiply-accumulates, parameters, activations, part by part.

Two counts stand side by side, because tables in papers hold either:

- ``products``: multiply-accumulates of convolutions and matrix products alone (attention's included). Twice this number
  is what ``torch.utils.flop_counter.FlopCounterMode`` counts.
- ``macs``: the same, and the cheap work beside it as the counter that MMSegmentation's own tables come from counts it:
  one for each output element of a convolution's bias or an activation function, one for each input element of a
  pooling, two for each element of a normalisation.

Counted by neither: resizing, softmax, sums and products of feature maps, concatenation, comparison, sorting and
gathering.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from segship.core.errors import InputError
from segship.core.manifest import MANIFEST
from segship.tools.extras import require_torch
from segship.tools.flops.cost import DEFAULT, NOT_COUNTED, Complexity, Cost

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["DEFAULT", "NOT_COUNTED", "Complexity", "Cost", "count"]


def count(
    source: str | Path,
    shape: tuple[int, int] | None = None,
    *,
    cfg_options: Mapping[str, object] | Sequence[str] | None = None,
) -> Complexity:
    """Count what a network computes on one image.

    A config is counted module by module on PyTorch's meta device, in no time and without memory. A package is counted
    operator by operator, needs no torch, and runs once; normalisations that were merged into convolutions are gone.

    Args:
        source: The framework's config, folder or file; a package; or an ONNX file, which is counted as one.
        shape: (height, width) of the network's input; None: 512x1024, or the nearest size that it takes.
        cfg_options: Overrides of the config, ``"key.sub=value"``.

    Returns:
        The counts, of the whole and of each part.

    Raises:
        SegshipError: The source cannot be read, or does not take this size.

    Examples:
        >>> from segship.tools.flops import count
        >>> cost = count("pspnet_r50-d8_4xb2-40k_cityscapes-512x1024.py", (2048, 1024))
        >>> f"{cost.macs / 1e9:.2f} GMac, {cost.params / 1e6:.2f} M"
        '1429.68 GMac, 48.98 M'
    """
    path = Path(source)
    package = (path / MANIFEST).is_file()
    if package or path.suffix == ".onnx":
        if cfg_options:
            raise InputError(f"{source} is {'a package' if package else 'a graph'}: only a config can be overridden")
        from segship.tools.flops.graph import count_onnx, count_package

        return count_package(path, shape) if package else count_onnx(path, shape)
    require_torch("Counting a config")
    from segship.sources import load_network
    from segship.tools.flops.network import count_network  # imports torch

    return count_network(load_network(source, cfg_options=cfg_options, with_auxiliary=True), shape)
