"""A folder that transformers opens: config.json, model.safetensors, preprocessor_config.json."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from segship.core.errors import MissingExtraError, VerificationError
from segship.core.files import holds_only, replace_directory, require_replaceable
from segship.deploy.requirements import require_extra
from segship.verification.compare import compare
from segship.verification.gates import failures
from segship.verification.inputs import find_verification_images, references
from segship.vision.label_maps import label_dtype
from segship.vision.upsample import Step

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from segship.core.manifest import Comparison
    from segship.core.plan import Plan
    from segship.deploy.ship import ExportOptions
    from segship.sources import Source
    from segship.verification.compare import Reference

__all__ = ["build_huggingface_folder"]

_CONFIG, _PROCESSOR, _WEIGHTS = "config.json", "preprocessor_config.json", "model.safetensors"
_WRITTEN = "segship"  # the key by which a folder is known that may be replaced


def build_huggingface_folder(source: Source, out: Path, options: ExportOptions) -> float:
    """Write the folder, verified as transformers opens it; it appears whole or not at all.

    Args:
        source: Of the network.
        out: Folder to write.
        options: What is asked for; the target says nothing here.

    Returns:
        The least share of equal labels over all images, prepared by transformers' own processor.

    Raises:
        SegshipError: transformers has no such network, or something cannot be read or verified.
    """
    from segship.networks.session import EagerSession
    from segship.sources.huggingface.folder import quiet
    from segship.sources.huggingface.written import as_transformers, is_theirs

    require_extra()
    _require_library()
    require_replaceable(out, _is_replaceable)
    options.progress("reading the network")
    loaded = source.load()
    plan = options.plan(loaded)
    request = source.request()
    options.progress("writing it as transformers has it")
    model, processor = as_transformers(request, loaded.network, plan.spec)
    with replace_directory(out, replaceable=_is_replaceable) as directory:
        with quiet():
            model.save_pretrained(directory)
        config = json.loads((directory / _CONFIG).read_text(encoding="utf-8"))
        _write(directory / _CONFIG, config | {_WRITTEN: {"architecture": plan.spec.architecture}})
        _write(directory / _PROCESSOR, processor)
        options.progress("comparing what transformers opens with the network")
        opened = _Opened(directory, type(model), processor)
        images = find_verification_images(options.images)
        session = EagerSession(loaded.network)
        if not is_theirs(request.path):
            alone = [opened.on_tensor(each, plan) for each in references(session, plan, images, batch=False)]
            _require(alone)
        whole = plan.model_copy(update={"embed": ("pre", "post")})
        checks = [opened.on_image(each, plan) for each in references(session, whole, images, batch=False)]
        if is_theirs(request.path) or not plan.spec.geometry:
            _require(checks)
    return min(check.labels_equal for check in checks)


class _Opened:
    """A folder as transformers opens it."""

    def __init__(self, folder: Path, kind: Any, processor: dict[str, Any]) -> None:
        import transformers

        from segship.sources.huggingface.folder import quiet

        name = processor["image_processor_type"]
        reader = getattr(transformers, f"{name}Pil", None) or getattr(transformers, name)
        with quiet():
            self._model = kind.from_pretrained(folder, local_files_only=True).eval()
            self._processor = reader.from_pretrained(folder, local_files_only=True)

    def on_image(self, reference: Reference, plan: Plan) -> Comparison:
        """The labels that it makes of an image."""
        import torch

        with torch.no_grad():
            outputs = self._model(**self._processor(images=reference.image, return_tensors="pt"))
            (mask,) = self._processor.post_process_semantic_segmentation(
                outputs, target_sizes=[reference.image.shape[:2]]
            )
        return _compared(reference, mask.numpy(), plan)

    def on_tensor(self, reference: Reference, plan: Plan) -> Comparison:
        """The labels that its network alone makes of a prepared input, at that input's size."""
        import torch

        size = (reference.image.shape[2], reference.image.shape[3])
        pixels = reference.image
        if plan.spec.normalization.channel_order == "bgr":
            pixels = pixels[:, ::-1].copy()
        with torch.no_grad():
            logits = self._model(torch.from_numpy(pixels)).logits
            logits = torch.nn.functional.interpolate(logits, size=size, mode="bilinear", align_corners=False)
        return _compared(replace(reference, steps=(Step(size),)), logits.argmax(dim=1)[0].numpy(), plan)


def _compared(reference: Reference, mask: NDArray[np.int64], plan: Plan) -> Comparison:
    return compare(reference, mask.astype(label_dtype(len(plan.spec.classes))), plan.spec)


def _require(checks: Sequence[Comparison]) -> None:
    if failed := failures(checks, "fp32"):
        raise VerificationError("; ".join(failed))


def _require_library() -> None:
    try:
        import transformers  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("Writing Hugging Face folders", "huggingface", "transformers") from error


def _write(path: Path, data: dict[str, Any]) -> None:
    path.write_text(json.dumps(data, indent=2, ensure_ascii=False, default=str) + "\n", encoding="utf-8")


def _is_replaceable(folder: Path) -> bool:
    """A folder that was written here, and nothing else in it."""
    try:
        config = json.loads((folder / _CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(config, dict) and _WRITTEN in config and holds_only(folder, {_CONFIG, _PROCESSOR, _WEIGHTS})
