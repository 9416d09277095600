"""Kits for machines that have a vendor's tools and chip, and packages made of what those bring back.

`export_kit` writes the ONNX file, the commands, and the inputs; the commands run where the vendor's tools are; `adopt`
reads the outputs, holds them against the network, evaluates them, and makes the package. No torch is needed to adopt.
"""

from __future__ import annotations

from segship.kits.adoption import Adopted, adopt, score_kit
from segship.kits.kit import Kit, holds_kit, read_kit
from segship.kits.write import export_kit

__all__ = ["Adopted", "Kit", "adopt", "export_kit", "holds_kit", "read_kit", "score_kit"]
