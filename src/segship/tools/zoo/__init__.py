"""The networks that MMSegmentation has published: which there are, and fetching one."""

from __future__ import annotations

from segship.tools.zoo.download import Downloaded, download
from segship.tools.zoo.models import PublishedModel, find_model, published_models

__all__ = ["Downloaded", "PublishedModel", "download", "find_model", "published_models"]
