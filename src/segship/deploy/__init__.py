"""From a trained network to a verified package: the one place that knows all stages."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from segship.backends import DEFAULT, find_backend
from segship.core.errors import BackendError
from segship.core.target import Shape, Target
from segship.deploy.embedding import read_embed
from segship.deploy.lower import Lowering
from segship.deploy.mmdeploy import ship_mmdeploy
from segship.deploy.ship import require_extra, ship
from segship.formats.mmdeploy.names import ENGINE
from segship.runtime.package import Package

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import nn

    from segship.core.spec import ModelSpec, SizeRule
    from segship.core.target import Precision
    from segship.sources import Loaded

__all__ = ["Lowering", "Package", "describe", "export", "export_mmdeploy", "export_module", "find_target"]


def export(
    config: str | Path,
    checkpoint: str | Path | None,
    out: str | Path,
    backend: str = DEFAULT,
    shape: str = "dynamic",
    *,
    precision: Precision = "fp32",
    target: str | Target | None = None,
    lowering: Lowering | None = None,
    embed: str | Sequence[str] = (),
    images: Sequence[str | Path] = (),
    cfg_options: Sequence[str] = (),
    source: str | None = None,
    spec: str | Path | Mapping[str, Any] | None = None,
    trust: bool = False,
    on_stage: Callable[[str], None] | None = None,
) -> Package:
    """Turn a trained network into a verified package.

    Args:
        config: The framework's config, folder or file.
        checkpoint: The trained weights; None where ``config`` brings them.
        out: Folder to write. It appears whole or not at all; an older package there is replaced only when the new one
            is complete.
        backend: Inference engine.
        shape: ``dynamic``, ``static`` (the size that the network's own preprocessing makes), ``static-HxW``, or
            ``dynamic-HxW-HxW`` with bounds.
        precision: ``fp32``, ``fp16``, ``bf16`` or ``int8``.
        target: Engine, precision and shape in one, instead of the three: as `Target.parse` reads it, or the path of a
            deploy config of MMDeploy.
        lowering: How a precision below fp32 is made and judged; int8 needs its ``calibration``.
        embed: ``("pre", "post")``: the engine's file takes uint8 (H, W, 3) RGB images of any size and returns masks of
            that size by itself; ``("pre",)`` or ``("post",)``: one of the two. For onnxruntime and openvino.
        images: Images to verify with, at the size the network will see them; bundled scenes are used besides.
        cfg_options: Overrides of the config, ``"key.sub=value"``.
        source: Framework the files come from; None: recognised by what they are.
        spec: What the network expects and means, for sources that do not say: a YAML file or its content.
        trust: Load a checkpoint that can only be read by running the code it carries; run the user's own modules.
        on_stage: Called with the name of each stage as it begins.

    Returns:
        The package and its manifest.

    Raises:
        SegshipError: Something cannot be read, converted or verified; nothing was written.

    Examples:
        >>> import segship
        >>> package = segship.export("config.py", "weights.pth", "package")
        >>> all(check.labels_equal > 0.9999 for check in package.manifest.checks)
        True
    """

    def load() -> Loaded:
        from segship import sources

        return sources.load(config, checkpoint, source=source, cfg_options=cfg_options, spec=spec, trust=trust)

    if target is None:
        target = Target(backend=backend, precision=precision, shape=Shape.parse(shape))
    parts = read_embed(embed)
    return ship(load, Path(out), find_target(target), images, lowering or Lowering(), on_stage, parts)


def export_module(
    module: nn.Module,
    spec: ModelSpec | str | Path | Mapping[str, Any],
    out: str | Path,
    target: str | Target = f"{DEFAULT}_dynamic",
    *,
    sizes: SizeRule | None = None,
    lowering: Lowering | None = None,
    embed: str | Sequence[str] = (),
    images: Sequence[str | Path] = (),
    on_stage: Callable[[str], None] | None = None,
) -> Package:
    """Turn a module of yours into a verified package.

    Args:
        module: float32 (N, C, H, W), normalised -> scores (N, K, h, w); as a tensor, the first of a tuple, or under
            ``"out"`` or ``"logits"`` of a dictionary. It is put into evaluation mode, on the CPU.
        spec: What it expects and means: a ModelSpec, a YAML file, or the content of one.
        out: Folder to write, as for `export`.
        target: Engine, precision and shape.
        sizes: Which input sizes it takes; None: what ``spec`` says, else any.
        lowering: As for `export`.
        embed: As for `export`.
        images: As for `export`.
        on_stage: As for `export`.

    Returns:
        The package and its manifest.

    Raises:
        SegshipError: Something cannot be read, converted or verified; nothing was written.
    """

    def load() -> Loaded:
        from segship.sources import python  # imports torch, whose absence has been told by now

        return python.load_module(module, spec, sizes=sizes)

    parts = read_embed(embed)
    return ship(load, Path(out), find_target(target), images, lowering or Lowering(), on_stage, parts)


def export_mmdeploy(
    config: str | Path,
    checkpoint: str | Path | None,
    out: str | Path,
    target: str | Target = f"{DEFAULT}_dynamic",
    *,
    images: Sequence[str | Path] = (),
    on_stage: Callable[[str], None] | None = None,
    **options: Any,
) -> float:
    """Write a folder that MMDeploy's own runtime opens: end2end.onnx, deploy.json, pipeline.json, detail.json.

    Args:
        config: As for `export`.
        checkpoint: As for `export`.
        out: Folder to write, as for `export`.
        target: ``onnxruntime`` in fp32, of any shape.
        images: As for `export`.
        on_stage: As for `export`.
        **options: ``source``, ``cfg_options``, ``spec``, ``trust``, as for `export`.

    Returns:
        The least share of labels, 0-1, that the graph and the network have in common, over all inputs.

    Raises:
        SegshipError: MMDeploy's runtime lacks what the network needs, or something cannot be converted or verified;
            nothing was written.
    """

    def load() -> Loaded:
        from segship import sources

        return sources.load(config, checkpoint, **options)

    chosen = find_target(target)
    if (chosen.backend, chosen.precision) != (ENGINE, "fp32"):
        raise BackendError(f"MMDeploy's folders are written for {ENGINE} in fp32, not for {chosen}")
    require_extra()
    tell = on_stage or (lambda _: None)
    return ship_mmdeploy(load, Path(out), chosen, images, find_backend(chosen.backend), tell)


def describe(
    config: str | Path, checkpoint: str | Path | None = None, **options: Any
) -> tuple[ModelSpec, SizeRule, tuple[str, ...]]:
    """What a trained network expects and means, before anything is exported.

    Args:
        config: As for `export`.
        checkpoint: As for `export`; may be left out.
        **options: ``source``, ``cfg_options``, ``spec``, ``trust``, as for `export`.

    Returns:
        The spec, the sizes it takes, and notes.

    Raises:
        SegshipError: It cannot be read.
    """
    require_extra()
    from segship import sources

    loaded = sources.load(config, checkpoint, **options)
    return loaded.spec, loaded.network.sizes, loaded.notes


def find_target(target: str | Target) -> Target:
    """The target that is meant.

    Args:
        target: A target, its text as `Target.parse` reads it, or the path of a deploy config of MMDeploy.

    Raises:
        SegshipError: It is none of these.
    """
    if isinstance(target, Target):
        return target
    if target.endswith(".py") and Path(target).is_file():
        from segship.formats.mmdeploy.deploy_config import read_target

        return read_target(Path(target))
    return Target.parse(target)
