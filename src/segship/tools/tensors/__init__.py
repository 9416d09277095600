"""Data sets as raw tensors, for engines that only some other program can run, and the figures of what it returns.

`pack` writes what the network would be given, one ``.bin`` for each input, with an index; the other program runs where
it likes; `score` reads its raw outputs back. No torch is needed where the network is a package.
"""

from __future__ import annotations

from segship.tools.tensors.index import Index, Packed, read_index
from segship.tools.tensors.pack import pack, read_network
from segship.tools.tensors.score import TensorScores, score

__all__ = ["Index", "Packed", "TensorScores", "pack", "read_index", "read_network", "score"]
