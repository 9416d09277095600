"""Folders of other frameworks: MMDeploy's, Hugging Face's, Segmenter's and Paddle's, value by value."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml

from inputs.common import Case, damaged, mutations, nested
from inputs.onnx_models import plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

REFERENCES = Path(__file__).parents[2] / "tests" / "references"
VARIANT: dict[str, Any] = {
    "net_kwargs": {"image_size": [64, 64], "patch_size": 16, "d_model": 64, "n_heads": 2, "n_layers": 2, "n_cls": 3, "normalization": "vit",
                   "backbone": "vit_tiny_patch16_384", "distilled": False, "decoder": {"name": "mask_transformer", "n_layers": 2}},
    "dataset_kwargs": {"dataset": "ade20k", "normalization": "vit"}, "inference_kwargs": {"window_size": 64, "window_stride": 32},
}  # fmt: skip
SEGFORMER: dict[str, Any] = {
    "architectures": ["SegformerForSemanticSegmentation"], "model_type": "segformer", "num_channels": 3, "num_encoder_blocks": 4,
    "depths": [1, 1, 1, 1], "sr_ratios": [8, 4, 2, 1], "hidden_sizes": [8, 16, 24, 32], "patch_sizes": [7, 3, 3, 3], "strides": [4, 2, 2, 2],
    "num_attention_heads": [1, 2, 2, 4], "mlp_ratios": [2, 2, 2, 2], "hidden_act": "gelu", "decoder_hidden_size": 16,
    "id2label": {"0": "road", "1": "wall", "2": "sky"}, "label2id": {"road": 0, "wall": 1, "sky": 2}, "image_size": 64,
}  # fmt: skip
PROCESSOR: dict[str, Any] = {
    "image_processor_type": "SegformerImageProcessor", "do_resize": True, "size": {"height": 64, "width": 64}, "resample": 2, "do_rescale": True,
    "rescale_factor": 0.00392156862745098, "do_normalize": True, "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5], "do_reduce_labels": False,
}  # fmt: skip
ABSURD = (10**5, 10**6, 10**7, 10**9, 10**12, 2**63, -1, 0, 1e300)
LIES = (
    ".pt2",
    ".pt",
    ".ts",
    ".torchscript",
    ".engine",
    ".trt",
    ".mar",
    ".zip",
    ".bin",
    ".param",
    ".tflite",
    ".pte",
    ".mlpackage",
    ".ckpt",
    ".pkl",
    ".npz",
    ".h5",
)


class Payload:
    """What makes a folder when it is unpickled."""

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return os.mkdir, ("EXECUTED",)


def folder_case(title: str, files: dict[str, bytes], base: Path | None = None, place: str = "") -> Case:
    """A folder of these files, laid over a copy of ``base``."""

    def write(folder: Path) -> Path:
        made = folder / "folder"
        shutil.copytree(base, made) if base else made.mkdir()
        for name, data in files.items():
            (made / name).parent.mkdir(parents=True, exist_ok=True)
            (made / name).write_bytes(data)
        return made / place if place else made

    return Case(title, write)


def numbers(tree: Any) -> Iterator[tuple[str, Any]]:
    """Every number of a tree with every absurd size in its place."""
    from inputs.common import changed, leaves

    for path in leaves(tree):
        value = tree
        for key in path:
            value = value[key]
        if type(value) is int or type(value) is float:
            for absurd in ABSURD:
                yield f"{'.'.join(map(str, path))} is {absurd:g}", changed(tree, path, absurd)


def json_bytes(tree: Any) -> bytes:
    """JSON as a file holds it, lone surrogates too."""
    return json.dumps(tree).encode("utf-8", "surrogatepass")


def _mmdeploy() -> Iterator[Case]:
    base = REFERENCES / "mmdeploy"
    for name in ("deploy.json", "pipeline.json", "detail.json"):
        tree = json.loads((base / name).read_bytes())
        for title, changed in (*mutations(tree, 90), *numbers(tree)):
            yield folder_case(f"MMDeploy {name}: {title}", {name: json_bytes(changed)}, base)
        for title, data in damaged((base / name).read_bytes(), 15):
            yield folder_case(f"MMDeploy {name}: {title}", {name: data}, base)
        yield folder_case(f"MMDeploy {name}: brackets", {name: nested(100_000).encode()}, base)
    yield folder_case("MMDeploy: another network", {"end2end.onnx": plain()}, base)


def _segmenter() -> Iterator[Case]:
    for title, tree in (*mutations(VARIANT, 120), *numbers(VARIANT)):
        yield folder_case(f"Segmenter: {title}", {"variant.yml": yaml.safe_dump(tree).encode("utf-8", "surrogatepass")})
    yield folder_case(
        "Segmenter: a checkpoint that runs",
        {"variant.yml": yaml.safe_dump(VARIANT).encode(), "checkpoint.pth": pickle.dumps(Payload())},
    )


def _huggingface() -> Iterator[Case]:
    for title, tree in (*mutations(SEGFORMER, 120), *numbers(SEGFORMER)):
        yield folder_case(
            f"Hugging Face: {title}",
            {"config.json": json_bytes(tree), "preprocessor_config.json": json_bytes(PROCESSOR)},
        )
    for title, tree in (*mutations(PROCESSOR, 60), *numbers(PROCESSOR)):
        yield folder_case(
            f"Hugging Face processor: {title}",
            {"config.json": json_bytes(SEGFORMER), "preprocessor_config.json": json_bytes(tree)},
        )
    more = {
        "auto_map": {"AutoModel": "evil.Evil"},
        "_attn_implementation": "evil/kernel",
        "quantization_config": {"x": 1},
        "backbone": "resnet18",
        "torch_dtype": "evil",
    }
    for key, value in more.items():
        files = {"config.json": json_bytes(SEGFORMER | {key: value}), "preprocessor_config.json": json_bytes(PROCESSOR)}
        yield folder_case(f"Hugging Face: {key}", files | {"evil.py": b"import os\nos.mkdir('EXECUTED')\n"})
    weights = {"config.json": json_bytes(SEGFORMER), "preprocessor_config.json": json_bytes(PROCESSOR)}
    yield folder_case("Hugging Face: a pickle that runs", weights | {"pytorch_model.bin": pickle.dumps(Payload())})


def _paddle() -> Iterator[Case]:
    base = REFERENCES / "paddleseg" / "argmax"
    tree = yaml.safe_load((base / "deploy.yaml").read_bytes())
    for title, changed in mutations(tree, 90):
        yield folder_case(
            f"Paddle: {title}", {"deploy.yaml": yaml.safe_dump(changed).encode("utf-8", "surrogatepass")}, base
        )
    for title, data in damaged((base / "model.json").read_bytes(), 15):
        yield folder_case(f"Paddle: {title}", {"model.json": data}, base)


def cases() -> Iterator[Case]:
    """All of them."""
    yield from _mmdeploy()
    yield from _segmenter()
    yield from _huggingface()
    yield from _paddle()
    for suffix in LIES:
        yield folder_case(f"a pickle called {suffix}", {f"x{suffix}": pickle.dumps(Payload())}, place=f"x{suffix}")
        yield folder_case(f"an empty {suffix}", {f"x{suffix}": b""}, place=f"x{suffix}")


def read(path: Path) -> None:
    """Open a folder for MMDeploy's runtime; read the network of any other."""
    if (path / "pipeline.json").exists():
        from segship import Segmentor

        Segmentor(path)(np.zeros((40, 56, 3), np.uint8))
        return
    from segship.sources import load

    load(path, random_weights=True)
