"""From a trained network to a verified package: the one place that knows all stages."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from segship.backends import DEFAULT
from segship.core.errors import BackendError, ConfigError, InputError, validated
from segship.core.plan import Int8, Temperature, read_embed
from segship.deploy.contract import Described, describe
from segship.deploy.huggingface import build_huggingface_folder
from segship.deploy.mmdeploy import build_mmdeploy_folder
from segship.deploy.pixels import LAYOUTS, PixelLayout, build_pixel_model
from segship.deploy.ship import ExportOptions, build_package, ignore_progress
from segship.deploy.targets import find_target, old_target, renamed
from segship.deploy.transformersjs import build_transformersjs_folder
from segship.formats.mmdeploy.names import ENGINE
from segship.runtime.package import Package
from segship.sources import Source, as_source

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping, Sequence

    from torch import nn

    from segship.core.spec import ModelSpec, SizeRule
    from segship.core.target import Precision, Target
    from segship.reading.normalization import Preset
    from segship.sources import Loaded, Options

__all__ = [
    "LAYOUTS",
    "Described",
    "Int8",
    "Package",
    "Temperature",
    "describe",
    "export",
    "export_huggingface",
    "export_mmdeploy",
    "export_module",
    "export_pixels",
    "export_transformersjs",
    "find_target",
]

_DYNAMIC = f"{DEFAULT}_dynamic"


@overload
def export(
    config: Source | str | os.PathLike[str],
    out: str | os.PathLike[str],
    /,
    *,
    target: str | Target | None = None,
    int8: Int8 | None = None,
    temperature: Temperature | None = None,
    allow_inexact: bool = False,
    embed: str | Sequence[str] = (),
    images: Sequence[str | os.PathLike[str]] = (),
    progress: Callable[[str], None] | None = None,
) -> Package: ...


@overload
def export(
    config: str | os.PathLike[str],
    checkpoint: str | os.PathLike[str] | None,
    out: str | os.PathLike[str],
    backend: str | None = None,
    shape: str | None = None,
    *,
    target: str | Target | None = None,
    precision: Precision | None = None,
    int8: Int8 | None = None,
    temperature: Temperature | None = None,
    allow_inexact: bool = False,
    embed: str | Sequence[str] = (),
    images: Sequence[str | os.PathLike[str]] = (),
    cfg_options: Options = None,
    source: str | None = None,
    spec: str | Path | Mapping[str, Any] | None = None,
    trust: bool = False,
    progress: Callable[[str], None] | None = None,
    on_stage: Callable[[str], None] | None = None,
) -> Package: ...


def export(
    config: Source | str | os.PathLike[str],
    checkpoint: str | os.PathLike[str] | None = None,
    out: str | os.PathLike[str] | None = None,
    backend: str | None = None,
    shape: str | None = None,
    *,
    target: str | Target | None = None,
    precision: Precision | None = None,
    int8: Int8 | None = None,
    temperature: Temperature | None = None,
    allow_inexact: bool = False,
    embed: str | Sequence[str] = (),
    images: Sequence[str | os.PathLike[str]] = (),
    cfg_options: Options = None,
    source: str | None = None,
    spec: str | Path | Mapping[str, Any] | None = None,
    trust: bool = False,
    progress: Callable[[str], None] | None = None,
    on_stage: Callable[[str], None] | None = None,
) -> Package:
    """Turn a trained network into a verified package: ``export(source, out)`` or ``export(config, checkpoint, out)``.

    Args:
        config: The trained network: a `segship.Source`, or the framework's config, folder or file.
        checkpoint: The trained weights; None where ``config`` brings them (random ones are for a `segship.Source` to
            ask for). Of two places, the second is ``out``.
        out: Folder to write. It appears whole or not at all; an older package there is replaced only when the new one
            is complete.
        backend: Of version 0.1, as ``shape`` and ``precision``: ``target`` names all three.
        shape: See ``backend``.
        target: Engine, precision and shape, as `Target.parse` reads them: ``openvino-int8_dynamic``,
            ``tensorrt-fp16_static-512x1024``; or the path of a deploy config of MMDeploy. None: ONNX Runtime in fp32,
            for all sizes. ``"auto"``: what `segship.tune` finds to be the fastest here, judged on the images of
            ``int8``.
        precision: See ``backend``.
        int8: How int8 is calibrated and judged; int8 needs its ``calibration``.
        temperature: Labelled images on which the temperatures of the package's scores are fitted, so that `Segmentor`'s
            are calibrated probabilities; None: those of ``int8`` where it has labels, else none.
        allow_inexact: Write the package even if a gate fails, and say so in it.
        embed: ``("pre", "post")``: the engine's file takes uint8 (H, W, 3) RGB images of any size and returns masks of
            that size by itself; ``("pre",)`` or ``("post",)``: one of the two. For onnxruntime and openvino.
        images: Images to verify with, at the size the network will see them; bundled scenes are used besides.
        cfg_options: As of `segship.Source`, as ``source``, ``spec`` and ``trust``.
        source: Framework the files come from; None: recognised by what they are.
        spec: What the network expects and means, for sources that do not say: a YAML file or its content.
        trust: Load a checkpoint that can only be read by running the code it carries; run the user's own modules.
        progress: Called with the name of each stage as it begins.
        on_stage: ``progress``, as version 0.1 called it.

    Returns:
        The package and its manifest.

    Raises:
        SegshipError: Something cannot be read, converted or verified, or arguments contradict each other; nothing was
            written.

    Examples:
        >>> import segship
        >>> package = segship.export("config.py", "weights.pth", "package")
        >>> all(check.labels_equal > 0.9999 for check in package.manifest.checks)
        True
        >>> source = segship.Source("config.py", "weights.pth")
        >>> package = segship.export(source, "package", target="onnxruntime_static-96x160")
    """
    if out is None:
        checkpoint, out = None, checkpoint
    if out is None:
        raise InputError("export needs a folder to write to: export(source, out) or export(config, checkpoint, out)")
    told = {
        "cfg_options": cfg_options,
        "source": source,
        "spec": spec,
        "trust": trust or None,
        "checkpoint": checkpoint,
    }
    if isinstance(config, Source):
        if doubled := [name for name, value in told.items() if value is not None]:
            raise InputError(f"a Source names {', '.join(doubled)} itself: give it to the Source, not to export")
        given = config
    else:
        given = Source(config, checkpoint, source=source, cfg_options=cfg_options, spec=spec, trust=trust)
    if target == "auto":
        _require_tunable(
            allow_inexact=allow_inexact, images=images, backend=backend, precision=precision, shape=shape,
            temperature=temperature,
        )  # fmt: skip
        return _tuned(given, Path(out), int8 or Int8(), embed, renamed(progress, on_stage))
    chosen = old_target(target, backend=backend, precision=precision, shape=shape)
    options = ExportOptions(
        target=chosen,
        embed=read_embed(embed),
        int8=_int8_of(chosen, int8),
        temperature=temperature or _temperature_of(int8),
        allow_inexact=allow_inexact,
        images=_paths(images),
        progress=renamed(progress, on_stage),
    )
    return build_package(given.load, Path(out), options)


def export_module(
    module: nn.Module,
    spec: ModelSpec | str | Path | Mapping[str, Any] | None,
    out: str | os.PathLike[str],
    target: str | Target = _DYNAMIC,
    *,
    sizes: SizeRule | None = None,
    normalize: Preset | None = None,
    int8: Int8 | None = None,
    temperature: Temperature | None = None,
    allow_inexact: bool = False,
    embed: str | Sequence[str] = (),
    images: Sequence[str | os.PathLike[str]] = (),
    progress: Callable[[str], None] | None = None,
    on_stage: Callable[[str], None] | None = None,
) -> Package:
    """Turn a module of yours into a verified package.

    Args:
        module: float32 (N, C, H, W), normalised -> scores (N, K, h, w) or labels (N, H, W); as a tensor, the first of a
            tuple, or under ``"out"`` or ``"logits"`` of a dictionary. It is put into evaluation mode, on the CPU.
        spec: What it expects and means: a ModelSpec, a YAML file, or the content of one; None: classes without names.
        out: Folder to write, as for `export`.
        target: Engine, precision and shape.
        sizes: Which input sizes it takes; None: what ``spec`` says, else any.
        normalize: How its images are normalised, where ``spec`` does not say: ``"imagenet"``, ``"unit"`` (pixels / 255)
            or ``"none"`` (pixels of 0-255 as they are).
        int8: As for `export`.
        temperature: As for `export`.
        allow_inexact: As for `export`.
        embed: As for `export`.
        images: As for `export`.
        progress: As for `export`.
        on_stage: As for `export`.

    Returns:
        The package and its manifest.

    Raises:
        SegshipError: Something cannot be read, converted or verified; nothing was written.
    """

    def load() -> Loaded:
        from segship.sources import python  # imports torch, whose absence has been told by now

        with validated("the description", ConfigError):
            return python.load_module(module, spec, sizes=sizes, normalize=normalize)

    chosen = find_target(target)
    options = ExportOptions(
        target=chosen,
        embed=read_embed(embed),
        int8=_int8_of(chosen, int8),
        temperature=temperature or _temperature_of(int8),
        allow_inexact=allow_inexact,
        images=_paths(images),
        progress=renamed(progress, on_stage),
    )
    return build_package(load, Path(out), options)


def export_mmdeploy(
    source: Source | str | os.PathLike[str],
    out: str | os.PathLike[str],
    target: str | Target = _DYNAMIC,
    *,
    images: Sequence[str | os.PathLike[str]] = (),
    progress: Callable[[str], None] | None = None,
) -> float:
    """Write a folder that MMDeploy's own runtime opens: end2end.onnx, deploy.json, pipeline.json, detail.json.

    Args:
        source: The trained network: a `segship.Source`, or the config, folder or file of one that brings its weights.
        out: Folder to write, as for `export`.
        target: ``onnxruntime`` in fp32, of any shape.
        images: As for `export`.
        progress: As for `export`.

    Returns:
        The least share of labels, 0-1, that the graph and the network have in common, over all inputs.

    Raises:
        SegshipError: MMDeploy's runtime lacks what the network needs, or something cannot be converted or verified;
            nothing was written.
    """
    chosen = find_target(target)
    if (chosen.backend, chosen.precision) != (ENGINE, "fp32"):
        raise BackendError(f"MMDeploy's folders are written for {ENGINE} in fp32, not for {chosen}")
    options = ExportOptions(target=chosen, images=_paths(images), progress=progress or ignore_progress)
    return build_mmdeploy_folder(as_source(source).load, Path(out), options)


def export_transformersjs(
    source: Source | str | os.PathLike[str],
    out: str | os.PathLike[str],
    target: str | Target = _DYNAMIC,
    *,
    images: Sequence[str | os.PathLike[str]] = (),
    progress: Callable[[str], None] | None = None,
) -> float:
    """Write a folder that transformers.js opens by its own ``pipeline("image-segmentation")``.

    Args:
        source: As for `export_mmdeploy`.
        out: Folder to write, as for `export`.
        target: ``onnxruntime`` in fp32, of any shape.
        images: As for `export`.
        progress: As for `export`.

    Returns:
        The least share of labels, 0-1, that the graph and the network have in common, over all inputs.

    Raises:
        SegshipError: transformers.js lacks what the network needs, or something cannot be converted or verified;
            nothing was written.
    """
    chosen = find_target(target)
    if (chosen.backend, chosen.precision) != (DEFAULT, "fp32"):
        raise BackendError(f"folders for transformers.js are written for {DEFAULT} in fp32, not for {chosen}")
    options = ExportOptions(target=chosen, images=_paths(images), progress=progress or ignore_progress)
    return build_transformersjs_folder(as_source(source).load, Path(out), options)


def export_huggingface(
    source: Source | str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    images: Sequence[str | os.PathLike[str]] = (),
    progress: Callable[[str], None] | None = None,
) -> float:
    """Write a folder that Hugging Face's transformers opens, where the network is one of theirs.

    Networks of their folders are written with the weights, options and names that are given, and MMSegmentation's
    UPerNet on ConvNeXt or Swin under transformers' own names.

    Args:
        source: As for `export_mmdeploy`.
        out: Folder to write: ``config.json``, ``model.safetensors``, ``preprocessor_config.json``.
        images: As for `export`.
        progress: As for `export`.

    Returns:
        The least share of labels, 0-1, that transformers, with its own processor, and the network have in common.

    Raises:
        SegshipError: transformers has no such network, or something cannot be read or verified; nothing was written.
    """
    options = ExportOptions(target=find_target(_DYNAMIC), images=_paths(images), progress=progress or ignore_progress)
    return build_huggingface_folder(as_source(source), Path(out), options)


def export_pixels(
    source: Source | str | os.PathLike[str],
    out: str | os.PathLike[str],
    layout: PixelLayout,
    target: str | Target | None = None,
    *,
    images: Sequence[str | os.PathLike[str]] = (),
    progress: Callable[[str], None] | None = None,
) -> float:
    """Write a folder with a lone model that takes pixels and returns scores at their size, for others' tools.

    Args:
        source: As for `export_mmdeploy`.
        out: Folder to write: ``model.onnx``, or ``model.xml`` and ``model.bin``.
        layout: ``"deepness"``: QGIS's plugin; ``"ultralytics"``: Ultralytics' tools; both take square tiles, of the
            size of ``target``, else of the network's windows, else of 512. ``"model_api"``: OpenVINO's Model API, with
            images of any size.
        target: The layout's engine in fp32; None: this.
        images: As for `export`.
        progress: As for `export`.

    Returns:
        The least share of labels, 0-1, that the model and the network have in common, over all inputs.

    Raises:
        SegshipError: The tool lacks what the network needs, or something cannot be converted or verified; nothing was
            written.
    """
    chosen = find_target(target or f"{LAYOUTS[layout]}_dynamic")
    options = ExportOptions(target=chosen, images=_paths(images), progress=progress or ignore_progress)
    return build_pixel_model(as_source(source).load, Path(out), options, layout)


def _require_tunable(**given: object) -> None:
    if told := [name for name, value in given.items() if value]:
        raise InputError(f"target='auto' chooses itself, and writes what passes: leave {', '.join(told)} out")


def _tuned(
    source: Source, out: Path, int8: Int8, embed: str | Sequence[str], progress: Callable[[str], None]
) -> Package:
    from segship.deploy.tune import tune

    found = tune(
        source,
        out,
        calibration=int8.calibration,
        labels=int8.labels,
        images=int8.images,
        max_drop=int8.drop,
        embed=embed,
        trust=source.trust,
        progress=lambda what, _done, _every: progress(what),
    )
    return found.package


def _int8_of(target: Target, int8: Int8 | None) -> Int8:
    if int8 is not None and target.precision != "int8":
        raise InputError(f"int8 is for int8 targets, and the target is {target}: leave int8 out, or change the target")
    return int8 or Int8()


def _temperature_of(int8: Int8 | None) -> Temperature | None:
    """The images that int8 is judged on calibrate the scores, too."""
    if int8 is None or int8.calibration is None or int8.labels is None:
        return None
    return Temperature(calibration=int8.calibration, labels=int8.labels, images=int8.images)


def _paths(images: Sequence[str | os.PathLike[str]]) -> list[Path]:
    return [Path(image) for image in images]
