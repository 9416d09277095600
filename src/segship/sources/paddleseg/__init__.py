"""Inference folders that PaddleSeg's export writes: ``deploy.yaml`` beside a program and its parameters.

Source: PaddleSeg's documentation of its export. Paddle runs in an environment of its own, by subprocess.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from segship.sources import Framework
from segship.sources.paddleseg.folder import DESCRIPTIONS, PROGRAMS

if TYPE_CHECKING:
    from pathlib import Path

    from segship.sources import Loaded, LoadRequest

__all__ = ["FRAMEWORK", "load", "recognises"]


def recognises(path: Path) -> bool:
    """Return whether ``path`` is a folder with ``deploy.yaml`` and a program of Paddle, or that YAML file in one."""
    folder = path if path.is_dir() else path.parent
    if path != folder and path.name not in DESCRIPTIONS:
        return False
    described = any((folder / name).is_file() for name in DESCRIPTIONS)
    return described and any((folder / name).is_file() for name in PROGRAMS)


def load(request: LoadRequest) -> Loaded:
    """Read the network of an inference folder, run by Paddle itself, and what ``deploy.yaml`` says of its input.

    A description (``--spec``) and options are laid over what the YAML says: classes, layout, sizes.
    """
    from segship.sources.paddleseg.network import load_folder  # setting Paddle up needs no torch

    return load_folder(request)


FRAMEWORK = Framework(
    "PaddleSeg",
    "a folder with deploy.yaml, model.json or model.pdmodel, and model.pdiparams",
    recognises,
    load,
)
