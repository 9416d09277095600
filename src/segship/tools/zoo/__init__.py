"""The networks that MMSegmentation has published: which there are, and fetching one; and folders of the hub."""

from __future__ import annotations

from segship.tools.zoo.download import Downloaded, download
from segship.tools.zoo.hub import HUB, HubFolder, download_from_hub
from segship.tools.zoo.models import PublishedModel, find_model, published_models

__all__ = [
    "HUB", "Downloaded", "HubFolder", "PublishedModel", "download", "download_from_hub", "find_model",
    "published_models",
]  # fmt: skip
