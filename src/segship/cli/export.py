"""``segship export``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast, get_args

import typer

from segship.backends import DEFAULT
from segship.cli.classes import CLASSES, require_data_set, with_classes
from segship.core.errors import InputError
from segship.core.target import Precision, Shape, Target

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["export", "split_paths"]

_MOST = 3


def split_paths(paths: list[str], source: str | None) -> tuple[str, str | None, Path]:
    """``[SOURCE, OUT]`` or ``[SOURCE, CHECKPOINT, OUT]`` as source, checkpoint and folder.

    Args:
        paths: As they stand on the command line.
        source: What ``--source`` says; a function needs no SOURCE besides.

    Raises:
        InputError: There are too few or too many.
    """
    if source is not None and source.startswith("python:") and len(paths) == 1:
        return source, None, Path(paths[0])
    if not 1 < len(paths) <= _MOST:
        raise InputError(
            f"{len(paths)} paths are given ({', '.join(paths)}): expected SOURCE OUT, or SOURCE CHECKPOINT OUT"
        )
    return paths[0], paths[1] if len(paths) == _MOST else None, Path(paths[-1])


def export(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE [CHECKPOINT] OUT",
            help="SOURCE: config, folder or file of the trained network. CHECKPOINT: its weights, where SOURCE does "
            "not bring them. OUT: folder to write the package to.",
        ),
    ],
    backend: Annotated[str, typer.Option(help="Inference engine; `segship doctor` lists them.")] = DEFAULT,
    precision: Annotated[str, typer.Option(help="fp32, fp16, bf16 or int8.")] = "fp32",
    shape: Annotated[
        str,
        typer.Option(
            help="Input sizes, height x width: dynamic, static (the network's own), static-512x1024, or "
            "dynamic-512x512-1024x2048 with bounds."
        ),
    ] = "dynamic",
    target: Annotated[
        str | None,
        typer.Option(
            help="The three in one, as in openvino-int8_static-512x1024; MMDeploy's name for one, as in "
            "segmentation_tensorrt-fp16_static-512x1024; or the path of an MMDeploy deploy config."
        ),
    ] = None,
    workspace: Annotated[
        int | None,
        typer.Option(min=1, metavar="MIB", help="GPU memory TensorRT's builder may try kernels with; all by default."),
    ] = None,
    engine_option: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE",
            help="Setting of the engine's own, as workspace=1024 is of TensorRT; may be repeated.",
        ),
    ] = None,
    calibration: Annotated[
        Path | None, typer.Option(help="Folder of images to fit int8 to; needed for int8.", metavar="FOLDER")
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(help="Folder of their label maps: int8 is then judged by IoU.", metavar="FOLDER"),
    ] = None,
    calibration_images: Annotated[
        int, typer.Option(min=1, help="At most so many of them, spread over the folder.")
    ] = 64,
    allow_inexact: Annotated[
        bool, typer.Option("--allow-inexact", help="Write the package even if a gate fails; its manifest says so.")
    ] = False,
    image: Annotated[
        list[Path] | None,
        typer.Option(help="Image or folder to verify with, besides the bundled scenes; may be repeated."),
    ] = None,
    cfg_options: Annotated[
        list[str] | None,
        typer.Option(help="Override of the config or the description, key.sub=value; may be repeated."),
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(
            help="Framework of the files, recognised by default; or python:package.module:function, which makes the "
            "network (SOURCE is then its description in YAML, and may be left out)."
        ),
    ] = None,
    spec: Annotated[
        Path | None,
        typer.Option(help="YAML file that describes classes and input, where the network's own files do not say."),
    ] = None,
    classes: Annotated[str | None, typer.Option(help=CLASSES)] = None,
    trust: Annotated[
        bool,
        typer.Option("--trust", help="Run code that comes with the network. Only for what you wrote or read yourself."),
    ] = False,
    embed: Annotated[
        str,
        typer.Option(
            metavar="pre,post",
            help="Work on images that the engine's file does itself: with pre it takes uint8 RGB images of any size, "
            "with post it returns masks. An engine that cannot says which can.",
        ),
    ] = "",
    layout: Annotated[
        str,
        typer.Option(
            help=f"segship; or mmdeploy, a folder that mmdeploy_runtime opens ({DEFAULT}, fp32); or a data set, which "
            "means the same as --classes."
        ),
    ] = "segship",
    json_file: Annotated[
        Path | None,
        typer.Option("--json", help="Write the manifest to this file; - for standard output."),
    ] = None,
) -> None:
    """Turn a trained network into a verified package.

    The engine is compared with the original network on real images, at sizes and a batch it was not traced at;
    a package that does not agree is not written.
    """
    from segship import deploy
    from segship.cli import output

    config, checkpoint, out = split_paths(paths, source)
    if layout not in {"segship", "mmdeploy"}:
        layout, classes = "segship", require_data_set(layout)
    description = with_classes(spec, classes)
    lowering = deploy.Lowering(calibration, labels, calibration_images, allow_inexact=allow_inexact)
    chosen = target or Target(backend=backend, precision=_precision(precision), shape=Shape.parse(shape))
    options = _options(engine_option or (), workspace)
    if options:
        chosen = deploy.find_target(chosen)
        chosen = chosen.model_copy(update={"options": chosen.options | options})
    if layout == "mmdeploy":
        if embed:
            raise InputError("--embed is for packages of Segship; MMDeploy's runtime prepares images itself")
        described = {"cfg_options": cfg_options or (), "source": source, "spec": description, "trust": trust}
        with output.stages() as tell:
            equal = deploy.export_mmdeploy(
                config, checkpoint, out, chosen, images=image or (), on_stage=tell, **described
            )
        output.say(f"{out}: for mmdeploy_runtime, {equal:.4%} of the labels are the network's")
        return
    with output.stages() as tell:
        package = deploy.export(
            config,
            checkpoint,
            out,
            target=chosen,
            lowering=lowering,
            embed=embed or (),
            images=image or (),
            cfg_options=cfg_options or (),
            source=source,
            spec=description,
            trust=trust,
            on_stage=tell,
        )
    output.write_json(json_file, package.manifest.model_dump(mode="json"))
    if not output.is_standard_output(json_file):
        output.print_checks(package.manifest.checks)
        output.print_quantization(package.manifest.quantization)
        for failure in package.manifest.failures:
            output.say(f"NOT EXACT: {failure}")
        for note in package.manifest.notes:
            output.say(f"note: {note}")
        verdict = "written although a gate failed" if package.manifest.failures else "verified"
        output.say(f"{package.path}: {package.manifest.target}, {verdict}")


def _options(given: Sequence[str], workspace: int | None) -> dict[str, str | int]:
    """Settings of the engine's own, which its backend checks."""
    read: dict[str, str | int] = {} if workspace is None else {"workspace": workspace}
    for text in given:
        name, equals, value = text.partition("=")
        if not (name and equals):
            raise InputError(f"--engine-option takes NAME=VALUE, not {text!r}")
        read[name] = value
    return read


def _precision(text: str) -> Precision:
    known = get_args(Precision)
    if text not in known:
        raise InputError(f"no precision is called {text!r}: {', '.join(known)}")
    return cast("Precision", text)
