"""``segship predict``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from segship.cli.classes import read_classes
from segship.cli.options import (
    MASK_FORMAT,
    NO_CACHE,
    SCENES,
    TTA,
    Bands,
    Blend,
    Classes,
    Device,
    MaskFormat,
    Overlap,
    Resolution,
    Scale,
    Window,
    either,
)
from segship.cli.predicting import images_named, packages_among, predict_images
from segship.cli.scenes import scene_form
from segship.cli.video import label_video
from segship.core.errors import InputError
from segship.runtime.video_names import is_video

__all__ = ["predict"]

_VIDEO = "Video"

_Package = Annotated[
    Path, typer.Argument(help="Folder written by `segship export` or MMDeploy, or a lone engine file.")
]
_Images = Annotated[
    list[str],
    typer.Argument(
        metavar="IMAGES...",
        help="Images, folders of images, .txt lists of these, or addresses as s3://bucket/folder; or one video, "
        "camera:0, or a stream as rtsp://…. Packages that stand before them take part: the mean of their scores "
        "decides.",
    ),
]
_To = Annotated[Path, typer.Option(help="Folder for the results; of a video, .mp4 for an overlay, or as --masks.")]
_Form = Annotated[MaskFormat | None, typer.Option("--format", help=MASK_FORMAT)]
_Opacity = Annotated[float, typer.Option(min=0, max=1, help="Of the mask in the overlay.")]
_Legend = Annotated[bool, typer.Option("--legend", help="Name the classes that occur beneath the overlay.")]
_Contours = Annotated[bool, typer.Option("--contours", help="White lines between classes in the overlay.")]
_Palette = Annotated[
    Literal["package", "colour-blind"],
    typer.Option(help="Of the overlay: the package's colours, or some that nearly everybody tells apart."),
]
_Scores = Annotated[
    bool, typer.Option("--scores", help="Also write the class probabilities: float16 .npz, (C, H, W) as `scores`.")
]
_Overlay = Annotated[
    bool, typer.Option("--overlay/--no-overlay", help="Write the mask over the image as NAME_overlay.jpg.")
]
_Resume = Annotated[
    bool, typer.Option("--resume", help="Leave out images that an earlier run with the same package has done.")
]
_Threads = Annotated[int | None, typer.Option(min=1, help="Threads of the engine.")]
_Trust = Annotated[
    bool,
    typer.Option("--trust", help="Open an engine that carries code, which then runs. Only from people you trust."),
]
_MaxPixels = Annotated[int, typer.Option(min=1, help="Refuse images with more pixels.")]
_Tta = Annotated[str | None, typer.Option(help=TTA, metavar="[flip,scales=…]")]
_NoCache = Annotated[bool, typer.Option("--no-cache", help=NO_CACHE)]
_Masks = Annotated[
    Path | None,
    typer.Option(
        help="Masks of a video: .mkv (lossless grey), .jsonl (run lengths), or a folder of PNG.",
        rich_help_panel=_VIDEO,
    ),
]
_Every = Annotated[int, typer.Option(min=1, help="Take each N-th frame.", rich_help_panel=_VIDEO)]
_Begin = Annotated[float, typer.Option("--from", min=0, help="Second to begin at.", rich_help_panel=_VIDEO)]
_End = Annotated[float | None, typer.Option("--until", help="Second to end at.", rich_help_panel=_VIDEO)]
_Show = Annotated[bool, typer.Option("--show", help="Show frames in a window; Escape ends.", rich_help_panel=_VIDEO)]
_Confidence = Annotated[
    Literal["probability", "margin", "entropy"] | None,
    typer.Option(
        help="Also write how sure each label is as a grey image, NAME_confidence.png (.tif of rasters): its "
        "probability, that less the next, or one less the entropy."
    ),
]
_RawScores = Annotated[
    bool, typer.Option("--raw-scores", help="As --scores, but the network's own probabilities, not calibrated ones.")
]
_Reject = Annotated[
    float | None, typer.Option(min=0, max=1, help="Label pixels as 255 whose label is less probable than this.")
]
_Polygons = Annotated[
    Literal["gpkg", "geojson"] | None,
    typer.Option(help="Also write regions as polygons with class and area.", rich_help_panel=SCENES),
]
_Simplify = Annotated[
    float | None,
    typer.Option(min=0, help="Let outlines of polygons move by this, in the raster's units.", rich_help_panel=SCENES),
]
_Remote = Annotated[
    bool,
    typer.Option("--remote", help="Let GDAL read from other machines, as a VRT may ask.", rich_help_panel=SCENES),
]
_Ray = Annotated[
    str | None, typer.Option(metavar="ADDRESS|local", help="Ray cluster that shares the images; local starts one.")
]
_OldLayout = Annotated[str | None, typer.Option("--layout", hidden=True)]


def predict(
    package: _Package,
    images: _Images,
    to: _To,
    form: _Form = None,
    opacity: _Opacity = 0.5,
    legend: _Legend = False,
    contours: _Contours = False,
    palette: _Palette = "package",
    scores: _Scores = False,
    raw_scores: _RawScores = False,
    confidence: _Confidence = None,
    reject: _Reject = None,
    overlay: _Overlay = True,
    resume: _Resume = False,
    device: Device = None,
    threads: _Threads = None,
    classes: Classes = None,
    trust: _Trust = False,
    max_pixels: _MaxPixels = 100_000_000,
    tta: _Tta = None,
    no_cache: _NoCache = False,
    masks: _Masks = None,
    every: _Every = 1,
    begin: _Begin = 0.0,
    end: _End = None,
    show: _Show = False,
    window: Window = None,
    overlap: Overlap = None,
    blend: Blend = None,
    scale: Scale = None,
    resolution: Resolution = None,
    bands: Bands = None,
    polygons: _Polygons = None,
    simplify: _Simplify = None,
    remote: _Remote = False,
    ray: _Ray = None,
    old_layout: _OldLayout = None,
) -> None:
    """Write the label map and an overlay of each image, in folders as the images are.

    NAME.png holds the labels with the palette embedded, NAME_overlay.jpg the mask over the image, index.jsonl a line
    for each image: its results, size and classes, or why there is none. Status 1: some images could not be used.

    GeoTIFF, COG and VRT, and images too large for memory, are read by windows and become NAME.tif, a COG with the
    georeference, colours and class names.
    """
    scene = scene_form(
        {"overlap": overlap, "blend": blend, "scale": scale, "resolution": resolution},
        {"polygons": polygons, "simplify": simplify},
        window=window,
        bands=bands,
        remote=remote,
    )
    scored = {"--scores": scores, "--raw-scores": raw_scores, "--confidence": confidence, "--reject": reject}
    drawn = {"--legend": legend, "--contours": contours, "--palette": None if palette == "package" else palette}
    video = {"--masks": masks, "--every": every != 1, "--from": begin, "--until": end, "--show": show}
    if any(map(is_video, images)):
        alone = {"--format": form, "--resume": resume, "--ray": ray, "an option of rasters": scene}
        for name, value in {**scored, **drawn, **alone}.items():
            if value is not None and value is not False:
                raise InputError(f"{name} is for images, not for videos: leave it out")
        names, layout = read_classes(either(classes, old_layout, "--classes", "--layout"))
        more = list(packages_among(list(map(Path, images))))
        label_video(
            [package, *more], images[len(more) :], to, masks=masks, every=every, begin=begin, end=end, show=show,
            opacity=opacity, device=device, threads=threads, trust=trust, classes=names, layout=layout, tta=tta,
            cache=not no_cache,
        )  # fmt: skip
        return
    if given := [name for name, value in video.items() if value]:
        raise InputError(f"{', '.join(given)}: for a video, and none is given")
    if status := predict_images(
        package, images_named(images), to, opacity=opacity, scores=scores, overlay=overlay, resume=resume,
        device=device, threads=threads, classes=either(classes, old_layout, "--classes", "--layout"), trust=trust,
        max_pixels=max_pixels, tta=tta, cache=not no_cache, scene=scene,
        raw_scores=raw_scores, confidence=confidence, reject=reject, form=form or "png",
        legend=legend, contours=contours, palette=palette, ray=ray,
    ):  # fmt: skip
        raise typer.Exit(status)
