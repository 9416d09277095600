"""The eager network as a Session: the reference every engine is compared with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from segship.core.artifacts import Session

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from segship.networks.network import Network

__all__ = ["EagerSession"]


class EagerSession(Session):
    """``{"image": (N, 3, H, W)} -> {"logits": (N, C, h, w)}`` by PyTorch itself.

    Args:
        network: In eval mode.
    """

    def __init__(self, network: Network) -> None:
        self._network = network

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
        """Low-resolution logits of ``feeds["image"]``."""
        with torch.inference_mode():
            return {"logits": self._network.logits(torch.from_numpy(feeds["image"])).numpy()}
