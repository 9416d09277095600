"""The units a network is assembled from, by their upstream type names."""

from __future__ import annotations

from torch import nn  # noqa: TC002  (the registries' type at run time)

from segship.core.registry import Registry

__all__ = ["backbones", "heads", "necks", "text_encoders"]

backbones: Registry[type[nn.Module]] = Registry("backbone", "segship.models.backbones")
necks: Registry[type[nn.Module]] = Registry("neck", "segship.models.necks")
heads: Registry[type[nn.Module]] = Registry("decode head", "segship.models.heads")
text_encoders: Registry[type[nn.Module]] = Registry("text encoder", "segship.models.text_encoders")
