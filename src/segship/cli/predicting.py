"""The work of ``segship predict``, and the quick way to it, without typer, which takes longer to load than an engine.

The quick way reads arguments that are all known and well-formed; whatever else stands there is left to typer, help and
errors among it.
"""

from __future__ import annotations

import itertools
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segship.core.errors import InputError
from segship.runtime.video_names import is_video

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from segship.formats.masks import MaskFormat
    from segship.runtime.predict import Predictions
    from segship.runtime.scene_files import SceneForm
    from segship.vision.confidence import ConfidenceKind
    from segship.vision.draw import PaletteKind

__all__ = ["images_named", "packages_among", "predict_images", "read_arguments"]

_SOME_FAILED = 1
_SHOWN = 20
_COMPLETION = "_SEGSHIP_COMPLETE"  # a shell asks for completions


def predict_images(
    package: Path,
    images: Sequence[Path | str],
    to: Path,
    *,
    opacity: float = 0.5,
    scores: bool = False,
    overlay: bool = True,
    resume: bool = False,
    device: str | None = None,
    threads: int | None = None,
    classes: str | None = None,
    trust: bool = False,
    max_pixels: int = 100_000_000,
    tta: str | None = None,
    cache: bool = True,
    scene: SceneForm | None = None,
    raw_scores: bool = False,
    confidence: ConfidenceKind | None = None,
    reject: float | None = None,
    form: MaskFormat = "png",
    legend: bool = False,
    contours: bool = False,
    palette: PaletteKind = "package",
    ray: str | None = None,
) -> int:
    """Write the results of images and tell of them.

    Args:
        package: What is opened.
        images: Files, folders and, as strings, addresses in object stores; packages that stand before them take part.
        to: Folder for the results.
        opacity: Of the mask in the overlay.
        scores: Also write probabilities.
        overlay: Write the overlay.
        resume: Leave out what an earlier run has done.
        device: As for `segship.Segmentor`.
        threads: As for `segship.Segmentor`.
        classes: What ``--classes`` says.
        trust: As for `segship.Segmentor`.
        max_pixels: Refuse images with more.
        tta: What ``--tta`` says.
        cache: As for `segship.Segmentor`.
        scene: What is written of rasters that are read by windows; None: the usual.
        raw_scores: As for `segship.predict`.
        confidence: As for `segship.predict`.
        reject: As for `segship.predict`.
        form: Of the labels, as of `segship.predict`.
        legend: As for `segship.predict`.
        contours: As for `segship.predict`.
        palette: As for `segship.predict`.
        ray: As for `segship.predict`.

    Returns:
        Exit status: 0, or 1 where some images could not be used.
    """
    from segship.cli import output
    from segship.cli.classes import read_classes
    from segship.runtime import Segmentor
    from segship.runtime.predict import predict_files
    from segship.runtime.result_form import ResultForm
    from segship.runtime.scene_files import SceneForm
    from segship.vision.draw import Style

    names, layout = read_classes(classes)
    more = packages_among(images)
    images = images[len(more) :]
    if not images:
        raise InputError(f"{more[-1]} is a package: after packages come images, or folders of images")
    segmentor = Segmentor(
        (package, *more),
        device=device,
        threads=threads,
        trust=trust,
        classes=names,
        layout=layout,
        tta=tta,
        cache=cache,
    )
    results = ResultForm(
        Style(opacity, legend, contours, palette),
        max_pixels,
        overlay=overlay,
        scores=scores or raw_scores,
        raw_scores=raw_scores,
        confidence=confidence,
        reject=reject,
        scene=scene or SceneForm(),
        format=form,
    )
    with output.resumable("--resume goes on"), output.progress_bar("predicting", 2, rate="/s") as progress:
        alone = len(images) == 1 and isinstance(images[0], Path) and not images[0].is_dir()
        told = {"windows": progress} if alone else {"progress": progress}
        found = predict_files(segmentor, images, to, results, resume=resume, ray=ray, **told)
    return _tell(found, to)


def packages_among(paths: Sequence[Path | str]) -> list[Path]:
    """Return the packages that ``paths`` begin with: folders with a manifest; others' engines are named alone.

    Args:
        paths: What stands after the first package.
    """
    from segship.core.manifest import MANIFEST

    files = itertools.takewhile(lambda path: isinstance(path, Path), paths)
    return list(itertools.takewhile(lambda path: (path / MANIFEST).is_file(), map(Path, files)))


def images_named(texts: Sequence[str]) -> list[Path | str]:
    """Return what users name as images: paths, and addresses in object stores as they are.

    Args:
        texts: Of the command line.
    """
    return [text if "://" in text else Path(text) for text in texts]


def _tell(found: Predictions, to: Path) -> int:
    from segship.cli import output
    from segship.cli.scenes import tell_scene
    from segship.runtime.result_index import INDEX

    if found.left_out:
        kinds = ", ".join(f"{count} {suffix or 'without a suffix'}" for suffix, count in sorted(found.left_out.items()))
        output.say(f"left out, no images by their suffix: {kinds}")
    for path, scene in found.scenes.items():
        tell_scene(path, scene)
    before = f", {found.resumed} of them by an earlier run" if found.resumed else ""
    output.say(f"{len(found.masks)} image{'s' * (len(found.masks) != 1)} -> {to}{before}")
    for reason in list(found.failed.values())[:_SHOWN]:
        output.fail(reason)
    if not found.failed:
        return 0
    more = f"; {to / INDEX} names all" if len(found.failed) > _SHOWN else ""
    output.fail(f"{len(found.failed)} of {len(found.masks) + len(found.failed)} images could not be used{more}")
    return _SOME_FAILED


def _positive(text: str) -> int:
    if int(text) < 1:
        raise ValueError(text)
    return int(text)


def _share(text: str) -> float:
    if not 0 <= float(text) <= 1:
        raise ValueError(text)
    return float(text)


def _format(text: str) -> str:
    from segship.formats.masks import FORMATS

    if text not in FORMATS:
        raise ValueError(text)
    return text


_VALUES: dict[str, tuple[str, Callable[[str], Any]]] = {
    "--to": ("to", Path),
    "--opacity": ("opacity", _share),
    "--device": ("device", str),
    "--threads": ("threads", _positive),
    "--classes": ("classes", str),
    "--max-pixels": ("max_pixels", _positive),
    "--format": ("form", _format),
    "--ray": ("ray", str),
}
_FLAGS = {
    "--scores": ("scores", True),
    "--overlay": ("overlay", True),
    "--no-overlay": ("overlay", False),
    "--legend": ("legend", True),
    "--contours": ("contours", True),
    "--resume": ("resume", True),
    "--trust": ("trust", True),
    "--no-cache": ("cache", False),
}


def read_arguments(arguments: Sequence[str]) -> dict[str, Any] | None:
    """Return what `predict_images` takes, as typer would read it.

    Args:
        arguments: All after the program's name.

    Returns:
        The keyword arguments; None: typer has to read them.
    """
    if not arguments or arguments[0] != "predict" or _COMPLETION in os.environ:
        return None
    try:
        found, places = _split(list(arguments[1:]))
    except (KeyError, IndexError, ValueError):
        return None
    if "to" not in found or len(places) < 2 or any(map(is_video, places)):  # noqa: PLR2004  (a package and an image)
        return None
    return {"package": Path(places[0]), "images": images_named(places[1:]), **found}


def _split(waiting: list[str]) -> tuple[dict[str, Any], list[str]]:
    """The options and the places, in any order.

    Raises:
        KeyError, IndexError, ValueError: An option is not known, or not well-formed.
    """
    found, places = dict[str, Any](), list[str]()
    while waiting:
        argument = waiting.pop(0)
        if not argument.startswith("-"):
            places.append(argument)
        elif argument in _FLAGS:
            name, value = _FLAGS[argument]
            found[name] = value
        else:
            option, equals, text = argument.partition("=")
            name, read = _VALUES[option]
            text = text if equals else waiting.pop(0)
            if not text or text.startswith("-"):
                raise ValueError(text)
            found[name] = read(text)
    return found, places
