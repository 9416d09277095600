"""Non-local block: every cell of a map sees every other one.

Source: Non-local Neural Networks (arXiv:1711.07971); upstream ``NonLocal2d`` in mmcv ``cnn/bricks/non_local.py``
(Apache-2.0), whose attribute names are kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

from torch import nn

from segship.core.errors import UnsupportedError
from segship.models.layers.conv import Cfg, ConvModule
from segship.models.layers.map_attention import as_map, attend

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["NonLocal2d", "NonLocalMode"]

NonLocalMode: TypeAlias = Literal["gaussian", "embedded_gaussian", "dot_product", "concatenation"]
_MODES = ("gaussian", "embedded_gaussian", "dot_product", "concatenation")


class NonLocal2d(nn.Module):
    """A map plus a projection of what its cells gathered from all cells.

    Args:
        in_channels: Channels of the map.
        reduction: How many times fewer channels keys, queries and values have.
        use_scale: Whether the products of ``"embedded_gaussian"`` are divided by the root of that number of channels.
        mode: How two cells' weight is computed: softmax of the products of the cells (``"gaussian"``) or of their
            projections (``"embedded_gaussian"``), those products themselves (``"dot_product"``), or a learnt function
            of both (``"concatenation"``).
        conv_cfg: As `ConvModule`.
        norm_cfg: Of the last projection only.

    Raises:
        UnsupportedError: The mode is unknown.
    """

    def __init__(
        self,
        in_channels: int,
        *,
        reduction: int = 2,
        use_scale: bool = True,
        mode: NonLocalMode = "embedded_gaussian",
        conv_cfg: Cfg | None = None,
        norm_cfg: Cfg | None = None,
    ) -> None:
        super().__init__()
        if mode not in _MODES:
            raise UnsupportedError(f"a non-local block has no mode {mode!r}: choose one of {', '.join(_MODES)}")
        self.mode = mode
        self.width = max(in_channels // reduction, 1)
        self.scale = self.width**-0.5 if use_scale and mode == "embedded_gaussian" else 1.0

        def conv(channels: int, out_channels: int, norm: Cfg | None = None) -> ConvModule:
            return ConvModule(channels, out_channels, 1, conv_cfg=conv_cfg, norm_cfg=norm, act_cfg=None)

        self.g = conv(in_channels, self.width)
        self.conv_out = conv(self.width, in_channels, norm_cfg)
        if mode != "gaussian":
            self.theta = conv(in_channels, self.width)
            self.phi = conv(in_channels, self.width)
        if mode == "concatenation":
            self.concat_project = ConvModule(2 * self.width, 1, 1, bias=False)

    def project(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map (N, in_channels, H, W) -> queries and keys, (N, C, H*W) each."""
        if self.mode == "gaussian":
            return x.flatten(2), x.flatten(2)
        return self.theta(x).flatten(2), self.phi(x).flatten(2)

    def gather(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """(N, C, L), (N, C, L), (N, D, L) -> each query's weighted sum of the values, (N, D, L)."""
        if self.mode == "concatenation":
            return self._gather_concatenation(query, key, value)
        if self.mode == "dot_product":
            # (Q K) V = Q (K V): the small product first, so that no L x L matrix is made.
            weights = key @ value.transpose(1, 2) / key.shape[2]
            return weights.transpose(1, 2) @ query
        return attend(query, key, value, scale=self.scale)

    def _gather_concatenation(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """As `gather`; a linear function of two concatenated vectors is the sum of two linear functions."""
        of_query, of_key = self.concat_project.conv.weight.flatten(1).chunk(2, dim=1)
        weights = ((of_query @ query).transpose(1, 2) + of_key @ key).relu() / key.shape[2]
        return value @ weights.transpose(1, 2)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) -> the same shape."""
        y = self.gather(*self.project(x), self.g(x).flatten(2))
        return x + self.conv_out(as_map(y, x))
