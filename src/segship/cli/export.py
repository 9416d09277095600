"""``segship export``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, cast, get_args

import typer

from segship.backends import DEFAULT
from segship.cli.classes import require_data_set, with_classes
from segship.cli.kit import KitData, write_kit
from segship.cli.options import (
    Classes,
    IgnoreUnknown,
    JsonFile,
    Normalize,
    OldImage,
    RandomWeights,
    either,
    find_normalize,
    keep_apart,
    split_paths,
)
from segship.cli.tune import run_tuning
from segship.core.errors import InputError
from segship.core.plan import Int8, Temperature
from segship.core.provenance import RANDOM_WEIGHTS
from segship.core.target import Precision, Shape, Target

if TYPE_CHECKING:
    from collections.abc import Sequence

    from segship.deploy import Package
    from segship.sources import Source

__all__ = ["export"]

_FOLDERS = {  # layouts, and what opens them
    "mmdeploy": "mmdeploy_runtime",
    "transformersjs": "transformers.js",
    "huggingface": "Hugging Face's transformers",
    "deepness": "Deepness, the plugin of QGIS",
    "model_api": "OpenVINO's Model API",
    "ultralytics": "Ultralytics",
}
_AUTO = "auto"

_Paths = Annotated[
    list[str],
    typer.Argument(
        metavar="SOURCE [CHECKPOINT] OUT",
        help="SOURCE: config, folder or file of the trained network. CHECKPOINT: its weights, where SOURCE does "
        "not bring them. OUT: folder to write the package to.",
    ),
]
_Backend = Annotated[
    str | None, typer.Option(help=f"Inference engine; `segship doctor` lists them. Default: {DEFAULT}.")
]
_Precision = Annotated[str | None, typer.Option(help="fp32, fp16, bf16 or int8. Default: fp32.")]
_Shape = Annotated[
    str | None,
    typer.Option(
        help="Input sizes, height x width: dynamic, static (the network's own), static-512x1024, or "
        "dynamic-512x512-1024x2048 with bounds. Default: dynamic."
    ),
]
_Target = Annotated[
    str | None,
    typer.Option(
        help="The three in one, as in openvino-int8_static-512x1024; MMDeploy's name for one, as in "
        "segmentation_tensorrt-fp16_static-512x1024; or the path of an MMDeploy deploy config. auto: what "
        "`segship tune` finds to be the fastest here."
    ),
]
_Workspace = Annotated[
    int | None,
    typer.Option(min=1, metavar="MIB", help="GPU memory TensorRT's builder may try kernels with; all by default."),
]
_EngineOption = Annotated[
    list[str] | None,
    typer.Option(
        "--option",
        "--engine-option",
        metavar="NAME=VALUE",
        help="Setting of the engine's own, as workspace=1024 is of TensorRT; may be repeated. `segship doctor "
        "--engine NAME` lists them.",
    ),
]
_Calibration = Annotated[
    Path | None,
    typer.Option(
        help="Folder of images to fit int8 to; needed for int8. With --labels, for every precision: scores become "
        "calibrated probabilities.",
        metavar="FOLDER",
    ),
]
_Labels = Annotated[
    Path | None,
    typer.Option(
        help="Folder of their label maps: int8 is then judged by IoU, and a temperature of the scores fitted.",
        metavar="FOLDER",
    ),
]
_Temperatures = Literal["one", "class"]
_Temperature = Annotated[
    _Temperatures | None,
    typer.Option(help="With --labels: one temperature for all classes, or one for each class. Default: one."),
]
_CalibrationImages = Annotated[
    int | None, typer.Option(min=1, help="At most so many of them, spread over the folder. Default: 64.")
]
_AllowInexact = Annotated[
    bool, typer.Option("--allow-inexact", help="Write the package even if a gate fails; its manifest says so.")
]
_Images = Annotated[
    list[Path] | None,
    typer.Option(help="Image or folder to verify with, besides the bundled scenes; may be repeated."),
]
_CfgOptions = Annotated[
    list[str] | None,
    typer.Option(help="Override of the config or the description, key.sub=value; may be repeated."),
]
_Source = Annotated[
    str | None,
    typer.Option(
        help="Framework of the files, recognised by default; or python:package.module:function, which makes the "
        "network (SOURCE is then its description in YAML, and may be left out)."
    ),
]
_Spec = Annotated[
    Path | None,
    typer.Option(help="YAML file that describes classes and input, where the network's own files do not say."),
]
_Trust = Annotated[
    bool,
    typer.Option("--trust", help="Run code that comes with the network. Only for what you wrote or read yourself."),
]
_Embed = Annotated[
    str,
    typer.Option(
        metavar="pre,post",
        help="Work on images that the engine's file does itself: with pre it takes uint8 RGB images of any size, "
        "with post it returns masks. An engine that cannot says which can.",
    ),
]
_Kit = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER",
        help="Write no package, and no OUT, but what a machine with the vendor's tools and chip needs to make and "
        "run the engine: ONNX, convert.sh, run.sh, inputs. `segship adopt` makes the package of what it returns.",
    ),
]
_Dataset = Annotated[
    tuple[str, Path] | None,
    typer.Option(metavar="NAME ROOT", help="With --kit: a data set that the chip shall run, as for evaluate."),
]
_Split = Annotated[str | None, typer.Option(help="With --kit: part of the data set. Default: val.")]
_Limit = Annotated[int | None, typer.Option(min=1, help="With --kit: take only the first N images.")]
_Layout = Annotated[
    str,
    typer.Option(
        help="Of the files: segship; or what others open in fp32: mmdeploy or transformersjs, a folder for "
        "mmdeploy_runtime or transformers.js; deepness or ultralytics, an ONNX file of square tiles for QGIS's plugin "
        "or Ultralytics; model_api, a model for OpenVINO's Model API; huggingface, a folder for transformers."
    ),
]


def export(
    paths: _Paths,
    backend: _Backend = None,
    precision: _Precision = None,
    shape: _Shape = None,
    target: _Target = None,
    workspace: _Workspace = None,
    engine_option: _EngineOption = None,
    calibration: _Calibration = None,
    labels: _Labels = None,
    temperature: _Temperature = None,
    calibration_images: _CalibrationImages = None,
    allow_inexact: _AllowInexact = False,
    images: _Images = None,
    cfg_options: _CfgOptions = None,
    source: _Source = None,
    spec: _Spec = None,
    classes: Classes = None,
    trust: _Trust = False,
    embed: _Embed = "",
    kit: _Kit = None,
    dataset: _Dataset = None,
    split: _Split = None,
    limit: _Limit = None,
    layout: _Layout = "segship",
    normalize: Normalize = None,
    ignore_unknown: IgnoreUnknown = False,
    random_weights: RandomWeights = False,
    json_file: JsonFile = None,
    old_image: OldImage = None,
) -> None:
    """Turn a trained network into a verified package.

    The engine is compared with the original network on drawn scenes and on the images you give, at sizes and a batch it
    was not traced at; a package that does not agree is not written.
    """
    from segship import deploy
    from segship.cli import output
    from segship.sources import Source

    config, checkpoint, out = split_paths(paths if kit is None else [*paths, str(kit)], source)
    keep_apart(json_file, config, checkpoint, spec)
    layout, classes = _layout_and_classes(layout, classes)
    backend = backend or (deploy.LAYOUTS.get(layout) if target is None else None)
    tuned = target == _AUTO
    options = _options(engine_option or (), workspace)
    chosen = _target(None if tuned else target, backend, precision, shape, options)
    int8 = None if tuned else _int8(chosen, calibration, None if kit else labels, calibration_images)
    fitted = _fitted(calibration, labels, calibration_images, temperature)
    given = Source(
        config,
        checkpoint,
        source=source,
        cfg_options=cfg_options,
        spec=with_classes(spec, classes),
        trust=trust,
        ignore_unknown=ignore_unknown,
        random_weights=random_weights,
        normalize=find_normalize(normalize),
    )
    pictures = either(images, old_image, "--images", "--image") or ()
    if write_kit(
        given,
        kit,
        chosen,
        KitData(dataset, split, pictures, labels, limit),
        int8,
        refused={
            "--layout": layout != "segship",
            "--embed": embed,
            "--json": json_file,
            "--allow-inexact": allow_inexact,
            "--temperature": temperature,
        },
    ):
        return
    if tuned:
        _require_tunable(
            backend=backend,
            precision=precision,
            shape=shape,
            engine_option=options,
            allow_inexact=allow_inexact,
            images=pictures,
            layout=layout != "segship",
            random_weights=random_weights,
            temperature=temperature,
        )
        run_tuning(
            given,
            out,
            json_file,
            calibration=calibration,
            labels=labels,
            images=calibration_images or Int8().images,
            embed=embed,
        )
    elif layout in _FOLDERS:
        _require_plain(layout, embed=embed, json=json_file, allow_inexact=allow_inexact, calibration=calibration)
        _write_folder(layout, given, out, chosen, pictures)
    else:
        with output.stages() as progress:
            package = deploy.export(
                given,
                out,
                target=chosen,
                int8=int8,
                temperature=fitted,
                allow_inexact=allow_inexact,
                embed=embed or (),
                images=pictures,
                progress=progress,
            )
        _tell(package, json_file, drawn=not pictures)


def _layout_and_classes(layout: str, classes: str | None) -> tuple[str, str | None]:
    """What ``--layout`` and ``--classes`` say; version 0.1 took a data set as layout, for its classes."""
    if layout in {"segship", *_FOLDERS}:
        return layout, classes
    return "segship", either(classes, require_data_set(layout), "--classes", "--layout")


def _write_folder(layout: str, given: Source, out: Path, target: Target, images: Sequence[Path]) -> None:
    """A folder for others' runtimes."""
    from segship import deploy
    from segship.cli import output

    with output.stages() as progress:
        if layout == "mmdeploy":
            equal = deploy.export_mmdeploy(given, out, target, images=images, progress=progress)
        elif layout == "transformersjs":
            equal = deploy.export_transformersjs(given, out, target, images=images, progress=progress)
        elif layout == "huggingface":
            equal = deploy.export_huggingface(given, out, images=images, progress=progress)
        else:
            equal = deploy.export_pixels(given, out, layout, target, images=images, progress=progress)  # type: ignore[arg-type]
    output.say(f"{out}: for {_FOLDERS[layout]}, {equal:.4%} of the labels are the network's")
    if given.random_weights and given.checkpoint is None:
        output.say(RANDOM_WEIGHTS)


def _tell(package: Package, json_file: Path | None, *, drawn: bool) -> None:
    """Write what the manifest says as JSON, and print what a reader wants to know of it."""
    from segship.cli import output

    manifest = package.manifest
    output.write_json(json_file, manifest.model_dump(mode="json"))
    if output.is_standard_output(json_file):
        return
    output.print_checks(manifest.checks)
    output.print_quantization(manifest.quantization, manifest.target.precision)
    output.print_calibration(manifest.calibration)
    output.print_written(package, drawn=drawn)


def _target(
    target: str | None,
    backend: str | None,
    precision: str | None,
    shape: str | None,
    options: dict[str, str | int],
) -> Target:
    """The target that the options name, --target or the three that are its parts, with the engine's own options."""
    from segship.deploy import find_target

    parts = {"--backend": backend, "--precision": precision, "--shape": shape}
    if target is None:
        chosen = Target(
            backend=backend or DEFAULT, precision=_precision(precision or "fp32"), shape=Shape.parse(shape or "dynamic")
        )
    elif given := [name for name, value in parts.items() if value is not None]:
        raise InputError(f"--target {target} names engine, precision and shape: leave {', '.join(given)} out")
    else:
        chosen = find_target(target)
    return chosen.model_copy(update={"options": chosen.options | options})


def _int8(target: Target, calibration: Path | None, labels: Path | None, images: int | None) -> Int8 | None:
    parts = {"--calibration": calibration, "--labels": labels, "--calibration-images": images}
    given = [name for name, value in parts.items() if value is not None]
    if given and target.precision != "int8" and labels is None:
        raise InputError(
            f"{', '.join(given)} are for int8, or with --labels for calibrated scores, and the target is {target}: "
            "--precision int8, give --labels FOLDER, or leave out"
        )
    if calibration is None and given:
        raise InputError(f"{', '.join(given)} go with --calibration FOLDER")
    if not given or target.precision != "int8":
        return None
    return Int8(calibration=calibration, labels=labels, images=images or Int8().images)


def _fitted(
    calibration: Path | None, labels: Path | None, images: int | None, temperatures: _Temperatures | None
) -> Temperature | None:
    """What the temperatures of the scores are fitted on; None: they are not."""
    if calibration is None or labels is None:
        if temperatures is not None:
            raise InputError("--temperature is fitted on labelled images: give --calibration and --labels FOLDER")
        return None
    per_class = temperatures == "class"
    return Temperature(calibration=calibration, labels=labels, images=images or Int8().images, per_class=per_class)


def _require_tunable(**options: object) -> None:
    """Refuse what contradicts a choice by measurement."""
    if given := [f"--{name.replace('_', '-')}" for name, value in options.items() if value]:
        raise InputError(f"--target {_AUTO} chooses itself, and writes what passes: leave {', '.join(given)} out")


def _require_plain(layout: str, **options: object) -> None:
    """Refuse what folders for others' runtimes have no place for."""
    if given := [f"--{name.replace('_', '-')}" for name, value in options.items() if value]:
        raise InputError(
            f"{', '.join(given)}: for packages of Segship; folders for {_FOLDERS[layout]} have their own files"
        )


def _options(given: Sequence[str], workspace: int | None) -> dict[str, str | int]:
    """Settings of the engine's own, which its backend checks."""
    read: dict[str, str | int] = {} if workspace is None else {"workspace": workspace}
    for text in given:
        name, equals, value = text.partition("=")
        if not (name and equals):
            raise InputError(f"--option takes NAME=VALUE, not {text!r}")
        if name in read:
            raise InputError(f"the engine's option {name} is given twice: once will do")
        read[name] = value
    return read


def _precision(text: str) -> Precision:
    known = get_args(Precision)
    if text not in known:
        raise InputError(f"no precision is called {text!r}: {', '.join(known)}")
    return cast("Precision", text)
