"""Masks of image files, written to a folder."""

from __future__ import annotations

import contextlib
import os
import warnings
from collections import Counter
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from segship.core.errors import InputError, MissingExtraError, SegshipWarning
from segship.core.files import require_apart
from segship.formats.masks import Meaning
from segship.runtime.object_store import ObjectImage, find_objects, places_of
from segship.runtime.result_form import ResultForm
from segship.runtime.result_index import ResultIndex, identify
from segship.runtime.result_names import name_results
from segship.runtime.results import is_of_the_image, reason_of, write_results
from segship.runtime.scene_files import is_scene, write_scene
from segship.runtime.segmentor import Segmentor
from segship.runtime.throughput import FEW
from segship.vision.decode import MAX_PIXELS
from segship.vision.draw import Style
from segship.vision.image_files import other_files

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Generator, Iterable, Mapping, Sequence

    from segship.formats.masks import MaskFormat
    from segship.runtime.augmentation import Tta
    from segship.runtime.cluster import Cluster
    from segship.runtime.object_store import Place
    from segship.runtime.scene_blocks import Share
    from segship.runtime.scene_files import SceneForm
    from segship.vision.confidence import ConfidenceKind
    from segship.vision.draw import PaletteKind

__all__ = ["Predictions", "predict", "predict_files"]

_OF_SCENES = ("png", "geojson")  # what rasters are written as in flat memory: labels, and polygons on the ground


@dataclass(frozen=True)
class Predictions:
    """The results of a run.

    Attributes:
        masks: The label map of each image that has one, in the order of the images.
        failed: The reason of each that has none.
        resumed: How many were there from an earlier run.
        left_out: How many files of the folders were no images by their suffix, which is the key.
        scenes: What the index says of each raster that was read by windows now.
    """

    masks: list[Path]
    failed: dict[Place, str]
    resumed: int
    left_out: dict[str, int]
    scenes: dict[Path, dict[str, Any]] = field(default_factory=dict)


def predict(
    package: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | Segmentor,
    images: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    to: str | os.PathLike[str],
    *,
    format: MaskFormat = "png",  # noqa: A002  (what it is called on the command line)
    opacity: float = 0.5,
    legend: bool = False,
    contours: bool = False,
    palette: PaletteKind = "package",
    overlay: bool = True,
    scores: bool = False,
    raw_scores: bool = False,
    confidence: ConfidenceKind | None = None,
    reject: float | None = None,
    resume: bool = False,
    device: str | None = None,
    threads: int | None = None,
    trust: bool = False,
    max_pixels: int = MAX_PIXELS,
    tta: Tta = None,
    cache: bool = True,
    ray: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Path]:
    """Write ``NAME.png`` (labels, palette embedded), ``NAME_overlay.jpg`` and, if asked for, ``NAME_scores.npz``.

    Rasters that say where they lie on the ground, and those too large for memory, become ``NAME.tif``, as
    `segship.Segmentor.scene` makes it.

    Results lie in folders as their images do. ``index.jsonl`` has a line for each image: its results, its size,
    the pixels of each class, or why there is none. An image that cannot be used stops nothing.

    Args:
        package: A package, its path, several of these, or an opened `segship.Segmentor`.
        images: An image file or a folder of images, the address of either in an object store (``s3://bucket/folder``,
            through fsspec), a ``.txt`` file with one of these in each line, or several of these.
        to: Folder for the results; made if need be. Nothing in it is written over but results of this function.
        format: Of the labels, in place of ``"png"``: ``"npz"``, ``"rle"`` (``NAME.json``), ``"geojson"``, ``"yolo"``
            (``NAME.txt``), or, for all images together, ``"coco"`` (``annotations.json``), ``"cvat"``
            (``annotations.xml``), ``"labelstudio"`` (``tasks.json``). Rasters are written as ``NAME.tif``, and so, too:
            with ``"geojson"`` as polygons on the ground, with others if they have at most ``max_pixels``.
        opacity: Opacity of the mask in the overlay, 0-1.
        legend: As for `Segmentor.draw`, of the overlay.
        contours: As for `Segmentor.draw`, of the overlay.
        palette: As for `Segmentor.draw`, of the overlay.
        overlay: Write the overlay.
        scores: Also write float16 (C, H, W) probabilities as ``scores`` of an .npz.
        raw_scores: Write these as the network gives them, not calibrated; ``confidence`` and ``reject`` use them, too.
        confidence: Also write how sure each label is as a grey image ``NAME_confidence.png``, 255 is sure:
            ``"probability"``, ``"margin"`` or ``"entropy"``, as of `Segmentor.confidence`.
        reject: Pixels whose label is less probable than this get the label 255; None: none does.
        resume: Leave out images whose results the index names, made by the same package of the same file.
        device: As for `segship.Segmentor`.
        threads: As for `segship.Segmentor`.
        trust: As for `segship.Segmentor`.
        max_pixels: Refuse images with more pixels.
        tta: As for `segship.Segmentor`.
        cache: As for `segship.Segmentor`.
        ray: Address of a Ray cluster that shares the images; ``local`` starts one here.
        progress: Called with (done, all) after each image.

    Returns:
        The file with the labels of each image that has some, in the order of the images; of each other a warning says
        why.

    Raises:
        InputError: No image can be used, a result cannot be written or would be written over a file that is read or is
            another's, or options are given for what is open.
        SegshipError: The package cannot be opened.

    Examples:
        >>> import segship
        >>> [path.name for path in segship.predict("package", "images", to="masks")]
        ['a.png', 'b.png']
    """
    paths = [images] if isinstance(images, (str, os.PathLike)) else images
    form = ResultForm(
        Style(opacity, legend, contours, palette), max_pixels,
        overlay=overlay, scores=scores or raw_scores, raw_scores=raw_scores, confidence=confidence,
        reject=reject, format=format,
    )  # fmt: skip
    if isinstance(package, Segmentor):
        if (device, threads, trust, tta, cache) != (None, None, False, None, True):
            told = "device, threads, trust, tta and cache are for paths"
            raise InputError(f"an opened Segmentor runs as it was opened: {told}")
        found = predict_files(package, paths, to, form, resume=resume, ray=ray, progress=progress)
    else:
        with Segmentor(package, device=device, threads=threads, trust=trust, tta=tta, cache=cache) as segmentor:
            found = predict_files(segmentor, paths, to, form, resume=resume, ray=ray, progress=progress)
    for reason in found.failed.values():
        warnings.warn(reason, SegshipWarning, stacklevel=2)
    return found.masks


def predict_files(
    segmentor: Segmentor,
    paths: Sequence[str | os.PathLike[str]],
    to: str | os.PathLike[str],
    form: ResultForm,
    *,
    resume: bool = False,
    ray: str | None = None,
    progress: Callable[[int, int], None] | None = None,
    windows: Callable[[int, int], None] | None = None,
) -> Predictions:
    """Do what `predict` does, and tell all about it.

    Args:
        segmentor: Makes the masks.
        paths: Images and folders.
        to: Folder for the results.
        form: What is written.
        resume: As for `predict`.
        ray: As for `predict`.
        progress: As for `predict`.
        windows: Called with (done, all) after each window of a raster.

    Raises:
        InputError: As for `predict`.
        UnsupportedError: Scores are asked for, and the network returns labels alone.
    """
    form.require(segmentor)
    run = _Run(segmentor, Path(to), form, places_of(paths))
    return run.predict(progress, windows, resume=resume, ray=ray)


def _of_scenes(form: ResultForm) -> SceneForm:
    """What is written of a raster, where ``form`` is of images."""
    return replace(
        form.scene,
        scores=form.scores,
        raw_scores=form.raw_scores,
        confidence=form.confidence,
        reject=form.reject,
        polygons=form.scene.polygons or ("geojson" if form.format == "geojson" else None),
        masks=None if form.format in _OF_SCENES else form.format,
        max_pixels=form.max_pixels,
    )


def _left_out(paths: Sequence[Path | str], results: Collection[Path]) -> Counter[str]:
    """How many files are no images by their suffix, of each suffix; ``results``: files of earlier runs."""
    others = [file for path in paths if isinstance(path, Path) and path.is_dir() for file in other_files(path)]
    counted = Counter(file.suffix.lower() for file in others if file.resolve() not in results)
    for path in paths:
        if isinstance(path, str):
            counted.update(PurePosixPath(other).suffix.lower() for other in find_objects(path)[1])
    return counted


class _Run:
    """One call of `predict`.

    Args:
        segmentor: Makes the masks.
        to: Folder for the results.
        form: What is written.
        paths: Images and folders.

    Raises:
        InputError: There is no image, or a result would be written over what is not this function's.
    """

    def __init__(self, segmentor: Segmentor, to: Path, form: ResultForm, paths: Sequence[Path | str]) -> None:
        if to.exists() and not to.is_dir():
            raise InputError(f"{to} is a file: the results need a folder")
        self._segmentor, self._to, self._form = segmentor, to, form
        self._package = segmentor.identity
        self._meaning = Meaning(segmentor.classes, segmentor.spec.palette)
        self._index = ResultIndex(to)
        self._scene_form = _of_scenes(form)
        self._told: dict[Path, dict[str, Any]] = {}
        results = self._index.files()
        self._names = {
            file: name
            for file, name in name_results(paths).items()
            if isinstance(file, ObjectImage) or file.resolve() not in results
        }
        if not self._names:
            raise InputError(f"{', '.join(map(str, paths))} holds no image but results of an earlier run")
        self._left_out = _left_out(paths, results)
        files = [file for file in self._names if isinstance(file, Path)]
        self._scenes = _find_scenes(files, form)
        written = [to / path for file, name in self._names.items() for path in self._files(file, name).values()]
        written += [to / name for name in form.masks.whole]
        require_apart(written, files)
        if not self._index.exists and (there := next((path for path in written if path.exists()), None)):
            raise InputError(f"{there} exists, and no earlier run wrote it: choose another folder, or move it away")

    def _files(self, file: Place, name: str) -> dict[str, str]:
        """The results of an image, by kind."""
        return (self._scene_form if file in self._scenes else self._form).files(name)

    def predict(
        self,
        progress: Callable[[int, int], None] | None,
        windows: Callable[[int, int], None] | None,
        *,
        resume: bool,
        ray: str | None,
    ) -> Predictions:
        wanted = {file: name for file, name in self._names.items() if not (resume and self._is_done(file, name))}
        self._index.drop(wanted.values())
        failed: dict[Place, str] = {}
        form = self._form
        done = resumed = len(self._names) - len(wanted)
        with self._shared(wanted, ray) as cluster, contextlib.closing(self._results(wanted, cluster)) as made:
            for file, result in zip(wanted, made, strict=True):
                try:
                    if isinstance(file, Path) and file in self._scenes:
                        share = None if cluster is None else cluster.blocks
                        self._write_scene(file, wanted[file], windows, share, resume=resume)
                    else:
                        self._note(file, wanted[file], result())
                except Exception as error:
                    if not is_of_the_image(error):
                        raise
                    failed[file] = self._note_failure(file, wanted[file], error)
                done += 1
                if progress is not None:
                    progress(done, len(self._names))
        if len(failed) == len(self._names):
            more = f" (and {len(failed) - 1} more cannot be used)" if len(failed) > 1 else ""
            raise InputError(f"{next(iter(failed.values()))}{more}")
        form.masks.join(self._to, self._parts(), self._meaning)
        masks = [self._labels(file, name) for file, name in self._names.items() if file not in failed]
        return Predictions(masks, failed, resumed, dict(self._left_out), self._told)

    def _shared(self, wanted: Collection[Place], ray: str | None) -> contextlib.AbstractContextManager[Cluster | None]:
        """The cluster that shares the work, if one is asked for."""
        if ray is None or not wanted:
            return contextlib.nullcontext()
        from segship.runtime.cluster import cluster

        return cluster(self._segmentor, ray)

    def _results(
        self, wanted: Mapping[Place, str], cluster: Cluster | None
    ) -> Generator[Callable[[], dict[str, Any]], None, None]:
        """What returns the results of each image, in order; of one alone when it is asked, without threads."""
        if cluster is not None:
            return self._results_on_ray(wanted, cluster)
        if len(wanted) == 1:
            return (partial(self._work, self._segmentor, item) for item in wanted.items())
        return self._segmentor.for_each(self._work, wanted.items(), many=len(wanted.keys() - self._scenes) > FEW)

    def _labels(self, file: Place, name: str) -> Path:
        """The file that holds the labels of an image."""
        return self._to / (f"{name}.tif" if file in self._scenes else self._form.masks.labels(name))

    def _parts(self) -> list[Path]:
        """What is there of each image in the format, of earlier runs too, for the files on the whole folder."""
        listed = sorted(self._index.listed("part", format=self._form.format).items())
        return [path for _, file in listed if (path := self._to / file).is_file()]

    def _results_on_ray(
        self, wanted: Mapping[Place, str], cluster: Cluster
    ) -> Generator[Callable[[], dict[str, Any]], None, None]:
        plain = [item for item in wanted.items() if item[0] not in self._scenes]
        with contextlib.closing(cluster.results(self._to, self._form, plain)) as made:
            for file in wanted:
                yield dict if file in self._scenes else next(made)  # scenes are shared out when their turn comes

    def _is_done(self, file: Place, name: str) -> bool:
        form = self._scene_form if file in self._scenes else self._form
        wanted = identify(file, self._package) | form.settings()
        return self._index.holds(name, wanted, form.files(name))

    def _work(self, segmentor: Segmentor, item: tuple[Place, str]) -> dict[str, Any]:
        """Make the results of an image; what is to be noted of them."""
        file, name = item
        if file in self._scenes:
            return {}  # window by window, when its turn comes
        return write_results(segmentor, file, self._to, name, self._form, self._index.begin)

    def _write_scene(
        self,
        file: Path,
        name: str,
        windows: Callable[[int, int], None] | None,
        share: Share | None,
        *,
        resume: bool,
    ) -> None:
        """Make the results of a raster, and note them."""
        form = self._scene_form
        decides = identify(file, self._package) | form.settings()
        with self._segmentor.scene(file, options=form.options) as scene:
            self._index.begin()
            told = write_scene(scene, self._to, name, form, decides, resume=resume, progress=windows, share=share)
        self._told[file] = told
        self._note(file, name, {"files": form.files(name)} | told | form.settings())

    def _note(self, file: Place, name: str, found: Mapping[str, Any]) -> None:
        self._index.begin()  # where another process did
        self._index.add({"name": name} | identify(file, self._package) | dict(found))

    def _note_failure(self, file: Place, name: str, error: Exception) -> str:
        told = reason_of(error, file)
        self._index.add({"name": name, "image": str(file), "error": told})
        return told


def _find_scenes(files: Iterable[Path], form: ResultForm) -> set[Path]:
    """The images that are read by windows; without what reads them so, none."""
    found = set(files) if form.scene.asked else {file for file in files if is_scene(file, form.max_pixels)}
    if not found:
        return found
    from segship.rasters.gdal import rasterio
    from segship.rasters.polygons import require_writer

    try:
        rasterio()
    except MissingExtraError as error:
        if form.scene.asked:
            raise
        warnings.warn(
            f"{next(iter(found))} is read as a plain image, without its georeference: {error}",
            SegshipWarning,
            stacklevel=2,
        )
        return set()
    if form.scene.polygons:
        require_writer(form.scene.polygons, simplify=form.scene.simplify is not None)
    return found
