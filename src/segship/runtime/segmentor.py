"""Segmentor: an opened package."""

from __future__ import annotations

import functools
import hashlib
import itertools
import os
import threading
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, TypeAlias, TypeVar, overload

import numpy as np

from segship.core.errors import InputError, SegshipWarning
from segship.runtime.arguments import require_order, require_whole
from segship.runtime.average import AveragedPipeline, open_pipeline
from segship.runtime.frames import MasksOfFrames
from segship.runtime.overlap import emptying, in_order
from segship.runtime.package import find_package
from segship.runtime.pictures import PicturesOfMasks
from segship.runtime.scores import ScoresOfImages
from segship.runtime.throughput import FEW, Room, throughput_of
from segship.runtime.tuned import tuned_elsewhere
from segship.vision import confidence
from segship.vision.bands import as_stored, read_pixels
from segship.vision.decode import from_pillow, is_encoded, is_pillow
from segship.vision.preprocess import as_image

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Sequence
    from types import TracebackType

    import PIL.Image
    from numpy.typing import NDArray

    from segship.core.manifest import Manifest
    from segship.core.spec import ModelSpec
    from segship.datasets.class_names import ClassNames
    from segship.runtime.augmentation import Tta
    from segship.runtime.pipeline import Pipeline
    from segship.runtime.scene import Scene
    from segship.runtime.scene_plan import SceneOptions
    from segship.vision.decode import Encoded
    from segship.vision.mosaic import Blend

    Mask: TypeAlias = NDArray[np.uint8 | np.uint16]
    Image: TypeAlias = Encoded | PIL.Image.Image | NDArray[Any]

__all__ = ["Segmentor"]

ChannelOrder: TypeAlias = Literal["rgb", "bgr"]
T = TypeVar("T")
R = TypeVar("R")
_WARM_UP_SIZE = (512, 1024)
_KEPT = ("tta", "trust", "cache")  # options of an engine that is opened again
_OVERLAPPED = 2  # items that are worked on where one run takes all threads: one is read or written meanwhile


class Segmentor(ScoresOfImages, MasksOfFrames, PicturesOfMasks):
    """An opened package: it makes masks of images, without the framework that trained the network.

    Images given as arrays are **RGB**, as Pillow has them; ``cv2.imread`` makes BGR, for which ``channel_order="bgr"``.

    Close it, or use it in a ``with`` statement, to give its memory back at once. One Segmentor may be used from any
    number of threads.

    Args:
        package: What ``segship.export`` returned, or the path of a package; or a folder that MMDeploy made; or an
            engine's file that Segship wrote: ``.onnx``, ``.xml`` (OpenVINO), ``.pt`` (TorchScript), ``.pt2``,
            ``.mlpackage``. A list or tuple of these is an ensemble: the mean of their probabilities decides; their
            classes must be the same, and ``manifest`` is the first's.
        device: ``cpu``, ``cuda:0``, …; ``segship doctor`` lists what works. None: ``cpu``, or the first device of an
            engine that does not run there.
        threads: Threads of the engine; None: its own choice, and several images at once where there are many.
        channel_order: Order of the channels of images given as NumPy arrays: ``"rgb"``, or ``"bgr"`` as OpenCV's are.
        max_pixels: Refuse images with more pixels before they are decoded.
        trust: Open engines that carry code (torch's ``.pt2``), which then runs. Only for those of people you trust.
        classes: Names of the classes, for files that do not hold any: folders of MMDeploy's.
        layout: Data set whose classes and colours they are instead: ``cityscapes``.
        tta: Test-time augmentation, the mean of the probabilities of several views: True, as the network's config says;
            or a text: ``"flip"`` (horizontal), ``"vflip"``, ``"d4"`` (quarter turns and flips, for pictures from
            above), ``"scales=0.5,1.0,1.5"``, joined by commas.
        cache: Use what the engine compiled at an earlier start, and keep what it compiles now, in the cache folder that
            ``segship doctor`` names. False: neither. OpenVINO and ONNX Runtime compile.

    Raises:
        PackageError: The package is damaged, incomplete or newer than this version.
        UnsafeFileError: Its engine carries code, and it is not trusted.
        BackendError: Its engine cannot be opened here.

    Examples:
        >>> from segship import Segmentor
        >>> with Segmentor("package") as segmentor:
        ...     mask = segmentor("street.jpg")
        >>> mask.shape, segmentor.classes
        ((77, 131), ('road', 'wall', 'tree', 'sky'))
    """

    def __init__(
        self,
        package: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
        *,
        device: str | None = None,
        threads: int | None = None,
        channel_order: ChannelOrder = "rgb",
        max_pixels: int = 100_000_000,
        trust: bool = False,
        classes: Sequence[str] = (),
        layout: str | None = None,
        tta: Tta = None,
        cache: bool = True,
    ) -> None:
        require_order(channel_order)
        require_whole(threads=threads, max_pixels=max_pixels)
        packages: Sequence[Any] = package if isinstance(package, (list, tuple)) and package else [package]
        if not all(isinstance(one, (str, os.PathLike)) for one in packages) or not isinstance(
            device, (str, type(None))
        ):
            raise InputError(f"a package is a path and a device a name, not {package!r:.80} and {device!r:.80}")
        if isinstance(classes, str):
            raise InputError(f"classes is {classes!r:.80}: expected a list of names")
        self._reopened: tuple[Any, dict[str, Any]] = (
            package,
            {
                "device": device,
                "threads": threads,
                "channel_order": channel_order,
                "max_pixels": max_pixels,
                "trust": trust,
                "classes": tuple(classes),
                "layout": layout,
                "tta": tta,
                "cache": cache,
            },
        )
        naming = _naming(classes, layout)
        found = [find_package(Path(one), naming) for one in packages]
        self._found, self._path, self._manifest = found, found[0].path, found[0].manifest
        for told in dict.fromkeys(tuned_elsewhere(files.manifest.tuned) for files in found):
            if told:
                warnings.warn(told, SegshipWarning, stacklevel=2)
        self._device = device or found[0].default_device
        self._besides = [files.manifest.model_dump_json() for files in found[1:]] + ([f"tta={tta}"] if tta else [])
        self._pipeline = open_pipeline(found, tta, device=device, threads=threads, trust=trust, cache=cache)
        self._channel_order = channel_order
        self._max_pixels = max_pixels
        self._room, self._opening, self._many = Room(), threading.Lock(), list[Segmentor]()

    @property
    def manifest(self) -> Manifest:
        """The package's manifest."""
        return self._manifest

    @property
    def spec(self) -> ModelSpec:
        """The input that the network expects, and the meaning of the labels."""
        return self._manifest.spec

    @property
    def classes(self) -> tuple[str, ...]:
        """Name of each label."""
        return self.spec.classes

    @property
    def device(self) -> str:
        """The device that the engine runs on, as ``cpu`` or ``cuda:0``."""
        return self._device

    @property
    def max_pixels(self) -> int:
        """Images with more pixels are refused before they are decoded."""
        return self._max_pixels

    @property
    def identity(self) -> str:
        """SHA-256 of all that decides the masks beside the image: manifests and augmentation."""
        return hashlib.sha256("\n".join([self._manifest.model_dump_json(), *self._besides]).encode()).hexdigest()

    def __repr__(self) -> str:
        what = f"{self.spec.architecture}, {len(self.classes)} classes, {self._manifest.target} on {self._device}"
        return f"<Segmentor {str(self._path)!r}: {what}{', closed' if self._pipeline.closed else ''}>"

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle and copy what was asked for, not the engine: the copy opens the package again."""
        if self._pipeline.closed:
            raise InputError(f"{self!r} cannot be copied: open the package again")
        package, options = self._reopened
        return functools.partial(Segmentor, package, **options), ()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Free the engine's memory; the Segmentor cannot be used any more. Closing it twice does no harm."""
        self._pipeline.close()
        with self._opening:
            for other in self._many:
                other.close()

    @overload
    def __call__(
        self, image: Image, *, channel_order: ChannelOrder | None = None, reject: float | None = None
    ) -> Mask: ...

    @overload
    def __call__(
        self,
        image: list[Image] | tuple[Image, ...],
        *,
        channel_order: ChannelOrder | None = None,
        reject: float | None = None,
    ) -> list[Mask]: ...

    def __call__(
        self,
        image: Image | list[Image] | tuple[Image, ...],
        *,
        channel_order: ChannelOrder | None = None,
        reject: float | None = None,
    ) -> Mask | list[Mask]:
        """Make the mask of an image, or of each image of a list.

        Args:
            image: Path of a file; the bytes of one, or a binary file object; a Pillow image, whose pixels are taken as
                they are; or uint8 (H, W, 3), (H, W, 4), whose alpha is dropped, or grey (H, W). A list or tuple of
                these gives a list of masks, as `batch` does.
            channel_order: Of an array; None: as the Segmentor was opened with.
            reject: Pixels whose label has a probability (`scores`) below this get the label 255; None: none does.

        Returns:
            Labels (H, W) at the image's own size: uint8, or uint16 where there are more than 256 classes.

        Raises:
            InputError: The image cannot be used, or 255 is a class.
            UnsupportedError: Pixels shall be rejected, and the package or its network returns labels alone.
        """
        if reject is not None:
            confidence.require_rejectable(reject, len(self.classes))
            if isinstance(image, (list, tuple)):
                return [self(one, channel_order=channel_order, reject=reject) for one in image]
            mask, scores = self.mask_and_scores(image, channel_order=channel_order)
            return confidence.reject(mask, scores, reject, sigmoid=self.spec.output == "sigmoid")
        if isinstance(image, (list, tuple)):
            return self.batch(image, channel_order=channel_order)
        return self._mask(image, channel_order)

    def _mask(self, image: Image, channel_order: ChannelOrder | None) -> Mask:
        pixels, order = self._pixels(image, channel_order)
        with self._room.take(pixels.shape[0] * pixels.shape[1]):
            return self._pipeline.labels(pixels, order)

    def batch(self, images: Iterable[Image], *, channel_order: ChannelOrder | None = None) -> list[Mask]:
        """Make the mask of each image, in order.

        On a processor several are worked on at the same time, each by few threads, unless the Segmentor was opened with
        a number of threads. Elsewhere, those of one size run together where the engine takes many at once.

        Args:
            images: Each as for the mask; only the few that are worked on are in memory.
            channel_order: As for the mask.

        Returns:
            Labels (H, W) of each, at its own size.

        Raises:
            InputError: An image cannot be used.
        """
        waiting = iter(images)
        masks: list[Mask] = []
        if self._pipeline.batch == 1:
            first = list(itertools.islice(waiting, FEW + 1))
            many, every = len(first) > FEW, itertools.chain(emptying(first), waiting)
            made = self.for_each(lambda opened, image: opened._mask(image, channel_order), every, many=many)  # noqa: SLF001
            return [result() for result in made]
        while some := [self._pixels(image, channel_order) for image in itertools.islice(waiting, self._pipeline.batch)]:
            masks += self._pipeline.labels_of(some)
        return masks

    def for_each(
        self, work: Callable[[Segmentor, T], R], items: Iterable[T], *, many: bool
    ) -> Generator[Callable[[], R], None, None]:
        """Work on as many items at the same time as keep the engine busy.

        Args:
            work: Called in a thread, with an opened Segmentor of the same package, and an item.
            items: Taken one after the other; only the few that are worked on are held.
            many: Whether they are worth opening the engine once more, as it makes the most masks in a second, unless
                the Segmentor was opened with a number of threads or on another device than the processor.

        Returns:
            For each item, in order, what returns its result, waits for it, or raises its error.
        """
        opened, threads = self._for_many() if many else (self, _OVERLAPPED)
        return in_order(functools.partial(work, opened), items, threads)

    def _for_many(self) -> tuple[Segmentor, int]:
        """The package as it is opened for many images, and how many threads work on them."""
        options = self._reopened[1]
        way = None if self._pipeline.closed else throughput_of(self._found, options["device"], options["threads"])
        if way is None:
            return self, _OVERLAPPED
        with self._opening:
            if not self._many:
                how = {"device": way.device, "threads": way.threads} | {key: options[key] for key in _KEPT}
                pipeline = open_pipeline(self._found, **how)
                other = object.__new__(type(self))
                other.__dict__ |= self.__dict__ | {"_pipeline": pipeline, "_many": [], "_opening": threading.Lock()}
                self._many.append(other)
        return self._many[0], way.at_once  # more would only crowd the processors' caches

    def scene(
        self,
        path: str | os.PathLike[str],
        *,
        to: str | os.PathLike[str] | None = None,
        window: int | tuple[int, int] | None = None,
        overlap: int | None = None,
        blend: Blend | None = None,
        scale: float | None = None,
        resolution: float | None = None,
        bands: Sequence[int] | None = None,
        remote: bool = False,
        options: SceneOptions | None = None,
        **files: Any,
    ) -> Scene:
        """Open a raster of any size, to be seen through windows in flat memory (extra ``geo``).

        Args:
            path: GeoTIFF, COG, VRT, JPEG 2000, PNG, JPEG, ENVI, ERDAS or BMP.
            to: Folder in which ``NAME.tif`` (labels) is written at once; None: nothing is.
            window: Side, or (height, width), of a window in pixels; None: the package's own.
            overlap: Pixels that a window shares with the next; None: the package's own, or a quarter of ``window``.
            blend: How overlapping windows are put together: ``"mean"``, as MMSegmentation does it, ``"hann"``, or
                ``"center"``.
            scale: What the raster is resized by, in place of the network's own resize rule.
            resolution: The same as metres a pixel on the ground.
            bands: Bands to see, from 1 on; None: all.
            remote: Let GDAL read from other machines.
            options: All of these at once, in place of them.
            **files: With ``to``: ``scores``, ``confidence``, ``polygons`` and ``simplify``, as
                `segship.runtime.scene_files.SceneForm` has them, ``resume`` and ``progress``.

        Returns:
            The scene: ``scene.blocks()`` yields its labels, ``numpy.asarray(scene)`` is all of them.

        Raises:
            MissingExtraError: rasterio is not installed.
            InputError: The raster or the options cannot be used.
            SizeError: The network cannot take the windows.

        Examples:
            >>> scene = segmentor.scene("field.tif", to="out", window=1024, overlap=256)  # doctest: +SKIP
        """
        from segship.runtime.scene_files import open_scene, write_scene_alone
        from segship.runtime.scene_plan import SceneOptions

        window = (window, window) if isinstance(window, int) else window
        given = SceneOptions(window, overlap, blend, scale, resolution, tuple(bands or ()) or None, remote=remote)
        if to is None and files:
            raise InputError(f"{', '.join(files)}: give a folder for the files (to)")
        manifests = [files.manifest for files in self._found]

        def many() -> tuple[Pipeline | AveragedPipeline, int]:
            opened, at_once = self._for_many()
            return opened._pipeline, at_once  # noqa: SLF001  (of this class)

        scene = open_scene(self._pipeline, manifests, Path(path), options or given, many)
        if to is not None:
            write_scene_alone(scene, Path(to), self.identity, **files)
        return scene

    def warm_up(self, size: tuple[int, int] | None = None) -> None:
        """Run the network once, so that the first image does not wait for what an engine does at its first run.

        Args:
            size: (height, width) of the images that will come: some engines tune themselves to each size. None:
                the size that the engine is made for, else 512x1024 or the nearest that the network takes.

        Raises:
            SizeError: The network cannot take what images of this size become.
        """
        shape = self._manifest.target.shape
        height, width = size or self._manifest.sizes.nearest(*(shape.typical or shape.maximum or _WARM_UP_SIZE))
        if size is not None or "pre" in self._manifest.embed or isinstance(self._pipeline, AveragedPipeline):
            dtype = np.float32 if self.spec.pixels == "multispectral" else np.uint8
            self._pipeline.labels(np.zeros((height, width, self.spec.channels), dtype), "rgb")
        else:
            crop = self.spec.slide.crop if self.spec.slide is not None else (height, width)
            self._pipeline.run(np.zeros((1, self.spec.channels, *crop), np.float32))

    def _pixels(self, image: Image, channel_order: ChannelOrder | None) -> tuple[NDArray[Any], ChannelOrder]:
        """The image as the pipeline takes it, and the order of its channels."""
        if is_encoded(image):
            return read_pixels(image, self.spec, max_pixels=self._max_pixels), "bgr"
        stored = self.spec.pixels == "multispectral"
        pixels: Any = image
        order = self._channel_order if channel_order is None else channel_order
        require_order(order)
        if is_pillow(image):
            pixels, order = from_pillow(image, max_pixels=self._max_pixels, stored=stored), "rgb"
        return (as_stored(pixels, self.spec.channels), "rgb") if stored else (as_image(pixels), order)


def _naming(classes: Sequence[str], layout: str | None) -> ClassNames | None:
    """Names of classes, where any are given; data sets are loaded for these alone."""
    if not classes and layout is None:
        return None
    from segship.datasets.class_names import ClassNames

    return ClassNames(tuple(classes), layout)
