"""A network with everything that follows it, in torch: windows, resize, decision.

What becomes TorchScript, and what ONNX files are compared with; the operators that end those are added by
`segship.onnxgraph.image.postprocess`, but for windows, which are captured from here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

import torch
import torch.nn.functional as F

from segship.networks.network import Network
from segship.networks.resample import resize
from segship.vision.tiling import plan

if TYPE_CHECKING:
    from torch import Tensor

    from segship.core.spec import ModelSpec, SizeRule

__all__ = ["FullInference", "Output"]

Output: TypeAlias = Literal["labels", "logits"]


class FullInference(Network):
    """Normalised image in, labels or full-size logits out, as MMSegmentation's ``simple_test`` computes them.

    Args:
        network: In evaluation mode.
        spec: What it expects and means.
        output: ``"labels"``: int64 (N, 1, H, W); ``"logits"``: float32 (N, K, H, W).
        rescale: (height, width) of the output; None: the input's.
    """

    def __init__(self, network: Network, spec: ModelSpec, output: Output, rescale: tuple[int, int] | None) -> None:
        super().__init__()
        self.network = network
        self.align_corners, self.num_classes = network.align_corners, network.num_classes
        self.out_channels = 1 if output == "labels" else network.out_channels
        self.threshold = spec.threshold
        self.spec = spec
        self._output = output
        self._rescale = rescale

    @property
    def sizes(self) -> SizeRule:
        """The sizes that the network takes; where it slides, windows fit any size."""
        return type(self.network.sizes)() if self.spec.slide is not None else self.network.sizes

    def logits(self, x: Tensor) -> Tensor:
        """Return the outputs of the file.

        Args:
            x: float32 (N, C, H, W), normalised; with windows, of the size that is traced.
        """
        full = self.full_logits(x)
        if self._output == "logits":
            return full
        if self.spec.output == "sigmoid":
            chances = full if self.spec.returns == "probabilities" else full.sigmoid()
            return (chances > self.spec.threshold).to(torch.int64)
        return full.argmax(1, keepdim=True)

    def full_logits(self, x: Tensor) -> Tensor:
        """Compute the logits at the output's size, whether or not labels leave the file.

        Args:
            x: As for `logits`.

        Returns:
            float32 (N, K, H, W).
        """
        size = list(self._rescale) if self._rescale else x.shape[2:]
        if self.spec.slide is not None:
            full = self._slide(x)
            full = full if self._rescale is None else resize(full, size, align_corners=self.align_corners)
        else:
            # In two steps, as the original does where the output has another size than the input.
            full = resize(self.network.logits(x), x.shape[2:], align_corners=self.align_corners)
            full = full if self._rescale is None else resize(full, size, align_corners=self.align_corners)
        return full

    def _slide(self, x: Tensor) -> Tensor:
        """The average of the windows' logits, summed on maps of the full size."""
        height, width = int(x.shape[2]), int(x.shape[3])
        assert self.spec.slide is not None  # noqa: S101  (for mypy; the caller asked)
        self.spec.require_common("A graph of the whole inference")
        windows = plan((height, width), self.spec.slide, self.network.sizes)
        rows, columns = windows.window
        total, count = x.new_zeros(1), torch.zeros(1, 1, height, width)
        for top in windows.tops:
            for left in windows.lefts:
                part = self.network(x[:, :, top : top + rows, left : left + columns])
                total = total + F.pad(part, (left, width - left - columns, top, height - top - rows))
                count[:, :, top : top + rows, left : left + columns] += 1
        return total / count
