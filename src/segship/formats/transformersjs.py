"""Folders that transformers.js opens by its own ``pipeline("image-segmentation")``: what its JSON files say.

transformers.js knows networks by ``model_type``; ``segformer`` is the one whose pipeline takes any logits, resizes them
to the image and takes the argmax. Its processor resizes by other rules than those that networks were trained with, so
that it is told to hand over the image as it is, and the graph does the rest.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from segship.core.errors import UnsupportedError
from segship.core.files import holds_only

if TYPE_CHECKING:
    from pathlib import Path

    from segship.core.spec import ModelSpec

__all__ = ["CONFIG", "INPUT", "MODEL", "OUTPUT", "PROCESSOR", "is_transformersjs_folder", "require_writable", "write"]

CONFIG, PROCESSOR, MODEL = "config.json", "preprocessor_config.json", "onnx/model.onnx"
INPUT, OUTPUT = "pixel_values", "logits"
_WRITTEN = "segship"  # the key by which a folder is known that may be replaced


def require_writable(spec: ModelSpec) -> None:
    """Check that transformers.js can do with the network what Segship does.

    Raises:
        UnsupportedError: It cannot; the message says what it lacks.
    """
    if spec.slide is not None:
        raise UnsupportedError(
            "the network slides, and transformers.js sees an image as a whole: --cfg-options model.test_cfg.mode=whole "
            "does so, too, or write a package"
        )
    spec.require_common("transformers.js")
    if spec.pixels != "uint8":
        raise UnsupportedError("transformers.js reads photographs, and this network takes bands as they are stored")
    if spec.returns == "labels":
        raise UnsupportedError("transformers.js takes the argmax of logits itself, and this network returns labels")


def write(folder: Path, spec: ModelSpec, labels_equal: float) -> None:
    """Write config.json and preprocessor_config.json.

    Args:
        folder: Where the model lies already.
        spec: What the network means.
        labels_equal: The least share of labels, 0-1, that the graph and the network have in common.
    """
    names = {str(label): name for label, name in enumerate(spec.classes)}
    colors = dict(zip(spec.classes, spec.palette, strict=True))
    config = {
        "model_type": "segformer",
        "architectures": ["SegformerForSemanticSegmentation"],
        "num_labels": len(names),
        "id2label": names,
        "label2id": {name: int(label) for label, name in names.items()},
        "transformers.js_config": {"dtype": "fp32"},
        _WRITTEN: {"architecture": spec.architecture, "palette": colors, "labels_equal": labels_equal},
    }
    off = dict.fromkeys(("do_resize", "do_rescale", "do_normalize", "do_pad"), False)
    processor = {"image_processor_type": "SegformerImageProcessor", "do_convert_rgb": True, **off}
    _write_json(folder / CONFIG, config)
    _write_json(folder / PROCESSOR, processor)


def is_transformersjs_folder(folder: Path) -> bool:
    """Return whether ``folder`` is one that `write` made, and nothing else lies in it."""
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    inner, name = (folder / MODEL).parent, (folder / MODEL).name
    if not (isinstance(config, dict) and _WRITTEN in config and (not inner.exists() or holds_only(inner, {name}))):
        return False
    return all(path == inner or path.name in {CONFIG, PROCESSOR} for path in folder.iterdir())


def _write_json(path: Path, data: dict[str, Any]) -> None:
    path.write_text(json.dumps(data, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
