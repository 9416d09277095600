"""What several subcommands take: sizes, lists, the data to evaluate on, and names that options had before."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

import typer

from segship.core.errors import InputError, did_you_mean
from segship.core.files import require_apart

if TYPE_CHECKING:
    from segship.evaluation import Data
    from segship.reading.normalization import Preset

__all__ = [
    "CLASSES",
    "DEVICE",
    "MASK_FORMAT",
    "NO_CACHE",
    "SCENES",
    "TTA",
    "Bands",
    "Blend",
    "Classes",
    "Device",
    "IgnoreUnknown",
    "JsonFile",
    "MaskFormat",
    "Normalize",
    "OldImage",
    "OldLayout",
    "OldSize",
    "Overlap",
    "RandomWeights",
    "Resolution",
    "Scale",
    "Window",
    "check_json_file",
    "either",
    "find_data",
    "find_normalize",
    "keep_apart",
    "read_names",
    "read_numbers",
    "read_size",
    "split_paths",
]

CLASSES = (
    "Names of the classes, where the network's files do not say: a data set (cityscapes), road,wall,sky, or a text "
    "file with one name a line."
)

DEVICE = "cpu, cuda:0, …; `segship doctor` lists them. Default: cpu, or the first device of an engine that has none."

MaskFormat = Literal["png", "npz", "coco", "rle", "geojson", "labelstudio", "cvat", "yolo"]
"""The names of `segship.formats.masks.FORMATS`, which is not loaded to read a command line."""

MASK_FORMAT = (
    "Of the labels: png (with palette), npz (array), rle (run lengths), geojson (outlines) or yolo, for each image; "
    "coco, cvat or labelstudio, one file for all. Default: png."
)

NO_CACHE = (
    "Neither use nor keep what the engine compiles, which else lies in the cache folder that `segship doctor` names."
)
TTA = (
    "Test-time augmentation, the mean of the probabilities of several views: alone, as the network's config says; or "
    "flip, vflip, d4 (turns and flips, for pictures from above), scales=0.5,1.0,1.5, joined by commas."
)

SCENES = "Rasters read by windows"
Window = Annotated[
    str | None,
    typer.Option(metavar="PIXELS|HxW", help="Of the windows. Default: the package's own.", rich_help_panel=SCENES),
]
Overlap = Annotated[
    int | None,
    typer.Option(
        min=0,
        help="Pixels that a window shares with the next. Default: the package's own, or a quarter of --window.",
        rich_help_panel=SCENES,
    ),
]
Blend = Annotated[
    Literal["mean", "hann", "center"] | None,
    typer.Option(
        help="Overlapping windows: the mean of their scores, as in MMSegmentation; weighed by a Hann window; or the "
        "one whose centre is nearest. Default: mean.",
        rich_help_panel=SCENES,
    ),
]
Scale = Annotated[
    float | None,
    typer.Option(help="Resize rasters by this, in place of the network's own rule.", rich_help_panel=SCENES),
]
Resolution = Annotated[
    float | None, typer.Option(help="Resize rasters to this many metres a pixel.", rich_help_panel=SCENES)
]
Bands = Annotated[
    str | None, typer.Option(metavar="N,N,…", help="Bands to see, from 1 on. Default: all.", rich_help_panel=SCENES)
]


def check_json_file(path: Path | None) -> Path | None:
    """Require that the file of ``--json`` can be written, and that nothing but JSON is lost by it.

    Args:
        path: As it is given; ``-`` and None are no file.

    Returns:
        The same.

    Raises:
        InputError: It is a folder, a file that is no JSON, or cannot be written.
    """
    if path is None or str(path) == "-":
        return path
    if path.is_dir():
        raise InputError(f"--json {path}: it is a folder, a file is needed")
    if path.is_file() and path.stat().st_size:
        with path.open("rb") as file:
            if file.read(_BEGINNING).lstrip()[:1] not in {b"{", b"["}:
                raise InputError(f"--json {path}: the file exists and is no JSON: choose another, or move it away")
    return path


def keep_apart(written: Path | None, *read: str | Path | None) -> None:
    """Refuse to write a file over one that is read.

    Args:
        written: The file of ``--json`` or another; None: nothing is written.
        read: Files, and folders of networks, whose descriptions are read.

    Raises:
        InputError: The file is one of these, under whatever name or link.
    """
    paths = [Path(path) for path in read if path is not None]
    require_apart([written], [file for path in paths for file in (path, *(path / name for name in _DESCRIPTIONS))])


Classes = Annotated[str | None, typer.Option(help=CLASSES)]
Device = Annotated[str | None, typer.Option(help=DEVICE)]
JsonFile = Annotated[
    Path | None,
    typer.Option(
        "--json",
        metavar="FILE",
        help="Write it all to this file as JSON; - for standard output.",
        callback=check_json_file,
    ),
]
IgnoreUnknown = Annotated[
    bool, typer.Option("--ignore-unknown", help="Note options that the framework does not have; do not refuse them.")
]
RandomWeights = Annotated[
    bool,
    typer.Option("--random-weights", help="Export without a checkpoint, for a trial; the result says so."),
]
Normalize = Annotated[
    str | None,
    typer.Option(
        metavar="imagenet|unit|none",
        help="How images are normalised, where the network's files do not say: mean and std of ImageNet, pixels / 255, "
        "or pixels of 0-255 as they are.",
    ),
]
OldLayout = Annotated[tuple[str, Path] | None, typer.Option("--layout", "--data", hidden=True)]
OldSize = Annotated[str | None, typer.Option("--shape", hidden=True)]
OldImage = Annotated[list[Path] | None, typer.Option("--image", hidden=True)]

_DESCRIPTIONS = (  # JSON files of packages, of MMDeploy's folders and of Hugging Face's
    *("manifest.json", "deploy.json", "pipeline.json", "detail.json"),
    *("config.json", "preprocessor_config.json", "processor_config.json"),
)
_MOST_PATHS = 3
_BEGINNING = 256  # bytes that tell JSON from other files
_SIZE = re.compile(r"(\d+)(?:\s*[x, ]\s*(\d+))?", re.IGNORECASE)
_Value = TypeVar("_Value")


def either(new: _Value | None, old: _Value | None, name: str, old_name: str) -> _Value | None:
    """The value of an option that had another name in version 0.1, under which it is still taken.

    Args:
        new: What the option says.
        old: What it says under the old name.
        name: As it is called.
        old_name: As it was called.

    Raises:
        InputError: It is given under both.
    """
    if old is None:
        return new
    if new is not None:
        raise InputError(f"{old_name} is the old name of {name}: give one of them")
    from segship.cli import output

    output.warn(f"{old_name} is called {name} now, and goes with the next version")
    return old


def read_size(text: str | None) -> tuple[int, int] | None:
    """``"512x1024"`` as (height, width); one number is a square, None stays None.

    Raises:
        InputError: It is no size, or a side is zero.
    """
    if text is None:
        return None
    match = _SIZE.fullmatch(text.strip())
    if match is None or not int(match[1]) or (match[2] and not int(match[2])):
        raise InputError(f"{text!r} is not a size: height x width in pixels, as in 512x1024")
    return int(match[1]), int(match[2] or match[1])


def read_numbers(text: str) -> tuple[int, ...]:
    """``"1,4,8"`` as numbers.

    Raises:
        InputError: It is something else.
    """
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdigit() and int(part) > 0 for part in parts):
        raise InputError(f"{text!r} is not a list of positive numbers: 1,4,8")
    return tuple(int(part) for part in parts)


def find_normalize(name: str | None) -> Preset | None:
    """The way to normalise that ``--normalize`` names.

    Raises:
        InputError: There is none of that name.
    """
    from segship.reading.normalization import PRESETS

    if name is None or name in PRESETS:
        return name
    raise InputError(f"--normalize {name!r:.60} is none of {', '.join(PRESETS)}.{did_you_mean(name, PRESETS)}")


def read_names(*texts: str) -> tuple[str, ...]:
    """What stands between commas, in one option or in several."""
    return tuple(part.strip() for text in texts for part in text.split(",") if part.strip())


def find_data(
    dataset: tuple[str, Path] | None,
    split: str | None,
    images: Path | None,
    labels: Path | None,
    reduce_zero_label: bool | None,
    limit: int | None,
    image_suffix: str | None = None,
    label_suffix: str | None = None,
) -> Data:
    """The data that options name.

    Args:
        dataset: Name and folder of a data set.
        split: Part of the data set.
        images: Folder of images, where there is no data set.
        labels: Folder of their label maps.
        reduce_zero_label: Whether label 0 means "ignore" and the others move down.
        limit: Take only so many samples.
        image_suffix: End of images' names, where these are found by name.
        label_suffix: End of label maps' names, likewise.

    Returns:
        What `segship.evaluate` takes; no file is read yet.

    Raises:
        InputError: Nothing is named, or options contradict each other.
    """
    from segship.evaluation import Data

    suffixes = image_suffix is not None or label_suffix is not None
    if suffixes and labels is None:
        raise InputError(
            "--image-suffix and --label-suffix pair files by name: give --images FOLDER and --labels FOLDER"
        )
    if dataset is not None:
        if images is not None or labels is not None:
            raise InputError("--dataset names images and label maps: leave --images and --labels out")
        return Data.layout(*dataset, split, reduce_zero_label=reduce_zero_label, limit=limit)
    if split is not None:
        raise InputError("--split is a part of a data set: give --dataset NAME ROOT")
    if images is None:
        raise InputError("say what to evaluate on: --dataset NAME ROOT, or --images FOLDER and --labels FOLDER")
    if labels is not None:
        return Data.folders(
            images,
            labels,
            reduce_zero_label=reduce_zero_label,
            limit=limit,
            image_suffix=image_suffix,
            label_suffix=label_suffix,
        )
    if reduce_zero_label is not None:
        raise InputError("--reduce-zero-label and --keep-zero-label are about label maps: give --labels FOLDER")
    return Data.unlabelled(images, limit=limit)


def split_paths(paths: list[str], source: str | None) -> tuple[str, str | None, Path]:
    """``[SOURCE, OUT]`` or ``[SOURCE, CHECKPOINT, OUT]`` as source, checkpoint and folder.

    Args:
        paths: As they stand on the command line.
        source: What ``--source`` says; a function needs no SOURCE besides.

    Raises:
        InputError: There are too few or too many.
    """
    from segship.sources import named_function

    if source is not None and named_function(source) is not None and len(paths) == 1:
        return source, None, Path(paths[0])
    if not 1 < len(paths) <= _MOST_PATHS:
        raise InputError(
            f"{len(paths)} paths are given ({', '.join(paths)}): expected SOURCE OUT, or SOURCE CHECKPOINT OUT"
        )
    return paths[0], paths[1] if len(paths) == _MOST_PATHS else None, Path(paths[-1])
