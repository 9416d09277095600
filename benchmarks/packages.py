"""The networks of the speed tables, their weights, and packages of them for any size."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

import segship
from segship.core.errors import SegshipWarning, UnsupportedError
from segship.core.manifest import Manifest, read_manifest
from segship.deploy import Int8, export_mmdeploy
from segship.sources import Source
from segship.vision.decode import read_image, read_labels
from segship.vision.image_files import find_images

__all__ = [
    "NETWORKS",
    "SCENES",
    "Network",
    "find_network",
    "keeping",
    "mmdeploy_package_of",
    "overrides",
    "package_of",
    "weights_of",
]

ASSETS = Path(segship.__file__).parent / "assets" / "demo"
SCENES = ASSETS / "images"
NETWORKS = {
    "Fast-SCNN": "fastscnn/fast_scnn_8xb4-160k_cityscapes-512x1024.py",
    "STDC1": "stdc/stdc1_4xb12-80k_cityscapes-512x1024.py",
    "CGNet": "cgnet/cgnet_fcn_4xb8-60k_cityscapes-512x1024.py",
    "BiSeNetV2": "bisenetv2/bisenetv2_fcn_4xb4-160k_cityscapes-1024x1024.py",
    "UNet": "unet/unet-s5-d16_fcn_4xb4-160k_cityscapes-512x1024.py",
    "SegFormer-B0": "segformer/segformer_mit-b0_8xb1-160k_cityscapes-1024x1024.py",
}
"""Configs of the networks that the tables show, in MMSegmentation's folder of configs."""

_BUILT_AT = (256, 512)  # height, width; what an export runs the network at costs time, and its files fit any size
_FITTED_ON = 4  # scenes


@dataclass(frozen=True)
class Network:
    """A network to measure.

    Attributes:
        name: For the tables.
        config: Its config.
        checkpoint: Trained weights; None: random ones.
    """

    name: str
    config: Path
    checkpoint: Path | None = None


def find_network(text: str, configs: Path | None) -> Network:
    """The network that is meant.

    Args:
        text: ``NAME`` of `NETWORKS`, or ``NAME=CONFIG``, or ``NAME=CONFIG,CHECKPOINT``.
        configs: MMSegmentation's folder of configs; None: the installed one.

    Raises:
        SystemExit: No network is called so, or there is no such folder.
    """
    name, _, files = text.partition("=")
    if files:
        config, _, checkpoint = files.partition(",")
        return Network(name, Path(config), Path(checkpoint) if checkpoint else None)
    known = next((known for known in NETWORKS if known.lower() == name.lower()), None)
    if known is None:
        raise SystemExit(f"no network is called {name!r}: {', '.join(NETWORKS)}, or NAME=CONFIG,CHECKPOINT")
    if configs is None:
        found = importlib.util.find_spec("mmseg")
        if found is None or found.origin is None:
            raise SystemExit("--configs FOLDER: mmsegmentation, which has the configs, is not installed")
        configs = Path(found.origin).parent / ".mim" / "configs"
    return Network(known, configs / NETWORKS[known])


def weights_of(network: Network, folder: Path) -> Path:
    """The network's checkpoint: the trained one, or random weights whose last layer is fitted to the scenes.

    Without that, a random network gives one class everywhere, or noise: masks that take less, or more, time than real
    ones. The seed is fixed.
    """
    if network.checkpoint is not None:
        return network.checkpoint
    path = folder / f"{network.name}.pth"
    if not path.is_file():
        torch.manual_seed(0)
        module = segship.load_network(network.config)
        fit_last_layer(module)
        torch.save({"state_dict": module.state_dict()}, path)
    return path


def fit_last_layer(module: Any) -> None:
    """Set the last convolution so that its scores come near the scenes' label maps, by least squares."""
    last = module.decode_head.conv_seg
    features: list[torch.Tensor] = []
    hook = last.register_forward_pre_hook(lambda _, given: features.append(given[0]))
    rows, truths = [], []
    for file in find_images([SCENES])[:_FITTED_ON]:
        image = np.asarray(read_image(file), np.float32)[:, :, ::-1]
        tensor = torch.from_numpy(np.ascontiguousarray((image - 114) / 57.5).transpose(2, 0, 1)[None])
        with torch.inference_mode():
            module.logits(torch.nn.functional.interpolate(tensor, _BUILT_AT, mode="bilinear"))
        found = features.pop()[0]
        labels = torch.from_numpy(np.array(read_labels(ASSETS / "labels" / f"{file.stem}.png")))
        small = torch.nn.functional.interpolate(labels[None, None].float(), found.shape[1:], mode="nearest")
        rows.append(found.flatten(1).T.double())
        truths.append(small.flatten().long())
    hook.remove()
    x, truth = torch.cat(rows), torch.cat(truths)
    x, truth = x[truth < last.out_channels], truth[truth < last.out_channels]
    mean, deviation = x.mean(0), x.std(0) + 1e-6
    x = (x - mean) / deviation
    y = torch.nn.functional.one_hot(truth, last.out_channels).double()
    solved = torch.linalg.solve(x.T @ x + 1e-3 * len(x) * torch.eye(x.shape[1]).double(), x.T @ (y - y.mean(0)))
    weight = (solved / deviation[:, None]).T
    with torch.no_grad():
        last.weight.copy_(weight[:, :, None, None])
        last.bias.copy_(y.mean(0) - weight @ mean)


def package_of(network: Network, target: str, size: tuple[int, int], folder: Path) -> Path:
    """A package whose preprocessing makes inputs of ``size`` (height, width), exact or not; made where it is missing.

    The engine's files take any size, and only what the manifest says of the preprocessing is changed; those of a
    ``target`` like ``openvino_static`` take this size alone.
    """
    engine, _, static = target.partition("_")
    shape = f"static-{size[0]}x{size[1]}" if static else "dynamic"
    out = folder / (f"{network.name}_{engine}_{shape}" if static else f"{network.name}_{target}")
    if not out.is_dir():
        int8 = Int8(calibration=SCENES, images=_FITTED_ON, agreement=0.0) if "-int8" in target else None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SegshipWarning)  # of so few images
            segship.export(
                network.config,
                weights_of(network, folder),
                out,
                target=f"{engine}_{shape}",
                int8=int8,
                allow_inexact=True,
                cfg_options=overrides(size) if static else overrides(),
            )
    record = read_manifest(out).model_dump()
    for step in record["spec"]["geometry"]:
        if step["kind"] == "resize":
            step["height"], step["width"] = size
    Manifest.model_validate(record).write(out)
    return out


def mmdeploy_package_of(network: Network, size: tuple[int, int], folder: Path) -> Path:
    """The same for MMDeploy's runtime; one for each size where the runtime cannot pad."""
    out, static = folder / f"{network.name}_mmdeploy", folder / f"{network.name}_mmdeploy-{size[0]}x{size[1]}"
    if static.is_dir():
        return static
    if not out.is_dir():
        weights = weights_of(network, folder)
        try:
            export_mmdeploy(Source(network.config, weights, cfg_options=overrides()), out)
        except UnsupportedError:
            target = f"onnxruntime_static-{size[0]}x{size[1]}"
            export_mmdeploy(Source(network.config, weights, cfg_options=overrides(size)), static, target)
            return static
    pipeline = out / "pipeline.json"
    record = json.loads(pipeline.read_text())
    for step in record["pipeline"]["tasks"][0]["transforms"]:
        if step["type"] == "Resize":
            step["size"] = [size[1], size[0]]
    pipeline.write_text(json.dumps(record))
    return out


def overrides(size: tuple[int, int] = _BUILT_AT) -> list[str]:
    """Overrides of a config that make inputs of ``size`` (height, width) and look at the image as a whole."""
    return [f"test_pipeline.1.scale=({size[1]},{size[0]})", "model.test_cfg.mode=whole"]


@contextlib.contextmanager
def keeping(folder: Path | None) -> Iterator[Path]:
    """``folder``, or a temporary one."""
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        yield folder
        return
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)
