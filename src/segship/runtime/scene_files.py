"""Scenes to files: which images are scenes, what is written of each, and going on after a kill."""

from __future__ import annotations

import json
import mmap
import os
import time
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np

from segship.core.errors import InputError, SegshipError
from segship.core.files import require_apart, write_atomically
from segship.formats.masks import Labelled, find
from segship.formats.masks import Meaning as Classes
from segship.rasters.mosaics import SUFFIX
from segship.runtime.average import AveragedPipeline
from segship.runtime.result_index import identify
from segship.runtime.scene_blocks import open_canvases, write_blocks
from segship.runtime.scene_plan import SceneOptions
from segship.vision import jp2_boxes, tiff_tags
from segship.vision.decode import MAX_PIXELS, image_size

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from segship.core.augmentation import Augmentation
    from segship.core.manifest import Manifest
    from segship.formats.masks import MaskFormat
    from segship.rasters.canvas import Canvas
    from segship.rasters.polygons import VectorFormat
    from segship.runtime.pipeline import Pipeline
    from segship.runtime.scene import Scene
    from segship.runtime.scene_blocks import Share
    from segship.vision.confidence import ConfidenceKind

__all__ = ["SceneForm", "is_scene", "open_scene", "write_scene", "write_scene_alone"]

_WORLD_FILES = (".tfw", ".tifw", ".jgw", ".jpgw", ".pgw", ".pngw", ".j2w", ".bpw", ".wld")
_HEADROOM = 2**26  # bytes of disk beside the results
_COUNTED = 2**20  # labels at a time, which NumPy widens to eight bytes each


@dataclass(frozen=True)
class SceneForm:
    """What is written of a scene.

    Attributes:
        options: How it is seen.
        scores: Whether the class probabilities are written, as float of 16 bits.
        confidence: Which confidence is written, as bytes of 0-255; None: none.
        raw_scores: Whether these are of the network's own probabilities, rather than of calibrated ones.
        reject: Pixels whose label is less probable get the label 255; None: none does.
        polygons: Which file of polygons is written; None: none.
        simplify: As for `segship.rasters.polygons.write_polygons`.
        masks: A format in which the labels are written, too, out of memory; None: none.
        max_pixels: The most pixels of a scene whose labels are written so.
        asked: Whether options of scenes were given, so that every image is one.
    """

    options: SceneOptions = field(default_factory=SceneOptions)
    scores: bool = False
    confidence: ConfidenceKind | None = None
    raw_scores: bool = False
    reject: float | None = None
    polygons: VectorFormat | None = None
    simplify: float | None = None
    masks: MaskFormat | None = None
    max_pixels: int = MAX_PIXELS
    asked: bool = False

    def files(self, name: str) -> dict[str, str]:
        """The results of a scene, by kind."""
        found = {"labels": f"{name}.tif"}
        if self.scores:
            found["scores"] = f"{name}_scores.tif"
        if self.confidence:
            found["confidence"] = f"{name}_confidence.tif"
        if self.polygons:
            found["polygons"] = f"{name}.{self.polygons}"
        if self.masks:
            form = find(self.masks)
            found["part" if form.joined else "masks"] = form.own(name)
        return found

    def settings(self) -> dict[str, Any]:
        """What decides the results beside the scene and the package, as JSON has it."""
        given = asdict(self.options) | {"confidence": self.confidence, "simplify": self.simplify}
        given |= {"raw_scores": self.raw_scores} if self.raw_scores else {}
        given |= {} if self.reject is None else {"reject": self.reject}
        settings: dict[str, Any] = json.loads(json.dumps(given))
        return {"scene": settings} | ({"format": self.masks} if self.masks else {})


def is_scene(path: Path, max_pixels: int) -> bool:
    """Return whether an image is one that is read by windows: with a georeference, or too large for memory.

    Args:
        path: A file.
        max_pixels: The most pixels that are decoded at once; less than the default asks for a refusal.
    """
    if path.suffix.lower() == SUFFIX:
        return True
    if not path.is_file() or not path.stat().st_size:
        return False
    if any(path.with_suffix(suffix).is_file() for suffix in _WORLD_FILES):
        return True
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        if tiff_tags.is_georeferenced(data) or jp2_boxes.is_georeferenced(data):
            return True
    size = image_size(path)
    return size is not None and size[0] * size[1] > max_pixels >= MAX_PIXELS


def open_scene(
    pipeline: Pipeline | AveragedPipeline,
    manifests: Sequence[Manifest],
    path: Path,
    options: SceneOptions,
    many: Callable[[], tuple[Pipeline | AveragedPipeline, int]],
) -> Scene:
    """Open a raster for packages.

    Args:
        pipeline: Runs the networks.
        manifests: Of their packages.
        path: The raster.
        options: How it is seen.
        many: Runs the networks where there are many windows, and tells how many runs go on at the same time.

    Raises:
        SegshipError: As for `segship.runtime.scene.Scene`.
    """
    from segship.runtime.scene import Scene

    def opened() -> tuple[list[Pipeline], int]:
        found, at_once = many()
        return [one for one, _ in _members(found)], at_once

    members = [(one, manifest, views) for (one, views), manifest in zip(_members(pipeline), manifests, strict=True)]
    return Scene(members, path, options, opened)


def _members(pipeline: Pipeline | AveragedPipeline) -> list[tuple[Pipeline, Augmentation | None]]:
    return pipeline.members if isinstance(pipeline, AveragedPipeline) else [(pipeline, None)]


def write_scene(
    scene: Scene,
    to: Path,
    name: str,
    form: SceneForm,
    decides: Mapping[str, Any],
    *,
    resume: bool = False,
    progress: Callable[[int, int], None] | None = None,
    share: Share | None = None,
) -> dict[str, Any]:
    """Write a scene block by block, or go on where a killed run stopped.

    Args:
        scene: What is written.
        to: Folder for the results.
        name: Of the results, with slashes.
        form: Which there are.
        decides: What decides them beside the version of this software.
        resume: Go on where a run for which all this was the same stopped.
        progress: As for `segship.runtime.scene.Scene.blocks`; with ``share``, by the blocks that are there.
        share: Writes the blocks in place of `write_blocks`, and yields what that yields.

    Returns:
        What an index says of the results.

    Raises:
        InputError: The raster is damaged, or the disk has no room.
    """
    writer = _Writer(scene, to, name, form, dict(decides) | {"files": form.files(name)}, resume=resume)
    try:
        return writer.write(progress, share)
    except SegshipError:
        writer.discard()
        raise


def write_scene_alone(
    scene: Scene,
    to: Path,
    package: str,
    *,
    resume: bool = False,
    progress: Callable[[int, int], None] | None = None,
    **files: Any,
) -> None:
    """Write a scene under its own name, without an index.

    Args:
        scene: What is written.
        to: Folder for the results.
        package: As of `segship.Segmentor.identity`.
        resume: As for `write_scene`.
        progress: As for `write_scene`.
        files: As of `SceneForm`.

    Raises:
        InputError: The raster is damaged, a result is the raster itself, or the disk has no room.
    """
    form = SceneForm(scene.options, **files)
    require_apart([to / name for name in form.files(scene.path.stem).values()], [scene.path])
    decides = identify(scene.path, package) | form.settings()
    write_scene(scene, to, scene.path.stem, form, decides, resume=resume, progress=progress)


class _Writer:
    """One scene on its way to files; arguments as for `write_scene`."""

    def __init__(
        self, scene: Scene, to: Path, name: str, form: SceneForm, identity: Mapping[str, Any], *, resume: bool
    ) -> None:
        self._scene, self._to, self._form, self._name = scene, to, form, name
        self._paths = {kind: to / file for kind, file in form.files(name).items()}
        place = self._paths["labels"]
        self._folder = place.with_name(f".{place.stem}.scene")
        self._identity = json.loads(json.dumps(dict(identity)))
        self._require_size()
        if not (resume and self._is_mine()):
            self._begin()

    def _require_size(self) -> None:
        """Refuse labels of a format that is made in memory where they do not fit there."""
        pixels = self._scene.size[0] * self._scene.size[1]
        if self._form.masks and pixels > self._form.max_pixels:
            raise InputError(
                f"{self._scene.path} has {pixels:,} pixels, of which {self._form.masks} is made in memory up to "
                f"{self._form.max_pixels:,}: leave --format out (geojson gives polygons of any size), or raise "
                "--max-pixels"
            )

    def _is_mine(self) -> bool:
        """Whether an earlier run of the same began."""
        try:
            return bool(json.loads((self._folder / "state.json").read_text()) == self._identity)
        except (OSError, ValueError):
            return False

    def _begin(self) -> None:
        self.discard()
        try:
            self._folder.parent.mkdir(parents=True, exist_ok=True)
            self._require_room()
            self._folder.mkdir()
            (self._folder / "done").touch()
            (self._folder / "state.json").write_text(json.dumps(self._identity))
        except OSError as error:
            raise InputError(f"cannot write {self._folder}: {error.strerror or error}") from error

    def _require_room(self) -> None:
        pixels = self._scene.size[0] * self._scene.size[1]
        bands = self._scene.channels if self._form.scores else 0
        need = pixels * (np.dtype(self._scene.dtype).itemsize + 6 * bands + bool(self._form.confidence)) + _HEADROOM
        import shutil

        if (free := shutil.disk_usage(self._folder.parent).free) < need:
            raise InputError(
                f"{self._scene.path} has {pixels:,} pixels, whose results need {need / 1e9:.1f} GB beside {self._to}, "
                f"and {free / 1e9:.1f} GB are free"
            )

    def discard(self) -> None:
        """Remove what was begun."""
        import shutil

        shutil.rmtree(self._folder, ignore_errors=True)

    def write(self, progress: Callable[[int, int], None] | None, share: Share | None) -> dict[str, Any]:
        began = time.monotonic()
        windows = self._fill(progress, share)
        seconds = time.monotonic() - began
        with open_canvases(self._scene, self._form, self._folder) as canvases:
            facts = self._facts(canvases["labels"])
            self._publish(canvases)
        self.discard()
        return facts | {"seconds": round(seconds, 3), "windows_run": windows}

    def _fill(self, progress: Callable[[int, int], None] | None, share: Share | None) -> int:
        """Write the blocks that are not there yet; return the number of windows that were run."""
        made = share or partial(write_blocks, progress=progress)
        run, blocks = 0, self._scene.count_blocks()
        done = os.open(self._folder / "done", os.O_WRONLY | os.O_APPEND)
        try:
            begin = os.fstat(done).st_size
            for written, windows in made(self._scene, self._form, self._folder, begin) if begin < blocks else ():
                os.write(done, b"." * written)
                begin, run = begin + written, run + windows
                if share is not None and progress is not None:
                    progress(self._scene.windows * begin // blocks, self._scene.windows)
        finally:
            os.close(done)
        return run

    def _facts(self, canvas: Canvas) -> dict[str, Any]:
        spec, counts = self._scene.spec, np.zeros(self._scene.nodata + 1, np.int64)
        for _, labels in canvas.bands_of_rows():
            flat = labels.reshape(-1)
            for first in range(0, len(flat), _COUNTED):
                counts += np.bincount(flat[first : first + _COUNTED], minlength=len(counts))
        found = {spec.classes[label]: int(counts[label]) for label in np.flatnonzero(counts[: len(spec.classes)])}
        height, width = self._scene.size
        facts = {"width": width, "height": height, "classes": found, "plan": self._scene.words}
        empty = int(counts[self._scene.nodata]) if self._scene.nodata >= len(spec.classes) else 0
        return facts | {"nodata_pixels": empty, "seams": self._scene.measure_seams(canvas.read)}

    def _publish(self, canvases: Mapping[str, Canvas]) -> None:
        from segship.rasters.canvas import Meaning, write_cog
        from segship.rasters.polygons import write_polygons
        from segship.rasters.styles import write_style

        spec, ground = self._scene.spec, self._scene.georeference
        meanings = {
            "labels": Meaning(self._scene.nodata, spec.classes, spec.palette),
            "scores": Meaning(bands=self._scene.channel_names, half=True),
            "confidence": Meaning(bands=[self._form.confidence or ""], scale=1 / 255),
        }
        for kind, canvas in canvases.items():
            write_cog(canvas, self._paths[kind], ground, meanings[kind])
        write_style(self._paths["labels"], spec.classes, spec.palette)
        self._write_masks(canvases["labels"])
        if self._form.polygons:
            write_polygons(
                self._paths["labels"],
                self._paths["polygons"],
                self._form.polygons,
                ground=ground,
                classes=spec.classes,
                simplify=self._form.simplify,
            )

    def _write_masks(self, canvas: Canvas) -> None:
        """Write the labels in the format that is asked for, too."""
        if self._form.masks is None:
            return
        (labels,) = canvas.read(slice(0, self._scene.size[0]))
        image = (PurePosixPath(self._name).parent / self._scene.path.name).as_posix()
        meaning = Classes(self._scene.spec.classes, self._scene.spec.palette)
        form = find(self._form.masks)
        write_atomically(self._to / form.own(self._name), form.encode(Labelled(image, labels, meaning)))
