"""The accuracy gate of int8."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from segship.core.manifest import Accuracy

__all__ = ["Gate"]


@dataclass(frozen=True)
class Gate:
    """How much lower precision may cost, in points of IoU.

    Attributes:
        mean: Most that mIoU may change, up or down: int8 that gains a point is as untrustworthy as one that loses it.
        each: Most that any class may lose.
    """

    mean: float = 0.5
    each: float = 3.0

    def failures(self, before: Accuracy, after: Accuracy) -> list[str]:
        """What does not hold, in words; empty: the gate is passed.

        Args:
            before: Of the original network.
            after: Of the engine, on the same images.
        """
        found = []
        change = after.mIoU - before.mIoU
        if not abs(change) <= self.mean:
            found.append(f"mIoU {before.mIoU:.2f} -> {after.mIoU:.2f} ({change:+.2f}, at most {self.mean} allowed)")
        for name, old in before.IoU.items():
            new = after.IoU.get(name, 0.0)
            if not old - new <= self.each:
                found.append(f"{name} {old:.2f} -> {new:.2f} ({new - old:+.2f}, at most -{self.each} allowed)")
        return found
