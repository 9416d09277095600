"""Train light networks of the zoo on drawn scenes: what int8 and bf16 are judged by.

``python demo/train_zoo.py --to DIR`` draws the scenes once, then trains every network of ``NETWORKS`` that DIR does not
hold yet; ``--only pidnet-s,stdc1`` some of them, ``--device cuda`` on a GPU. It may be stopped at any time: it goes on
from the last checkpoint, and comes to the same weights; ``--minutes`` stops by itself. ``--autocast``
computes in bfloat16, twice as fast on a processor that has it. ``--pack`` writes all of them into one file, with an
index of their digests.

The configs are MMSegmentation's own (``pip install --no-deps mmsegmentation==1.2.2``), with seven classes and the size
of the scenes; DIR/NAME.json holds what was changed, for ``segship.Source(CONFIG, "NAME.pth", cfg_options=…)``, and the
IoU of each class on held-out scenes. Nothing is fetched. On one machine the weights follow from the seeds; another
rounds differently.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
import math
import os
import sys
import tarfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from PIL import Image

import segship
from demo_scenes import CLASSES, Scene, draw_scene
from segship.networks.resample import resize
from train_demo import HELD_OUT, MEAN, STD, augment, draw_held_out, entropy_of, measure, overlap_loss, save, to_tensor

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from segship.networks.network import Network

TRAINING = range(10_000, 12_000)
CALIBRATION = range(20_000, 20_016)  # what int8 is calibrated on
NETWORKS: dict[str, tuple[str, float]] = {
    "segformer-b0": ("segformer/segformer_mit-b0_8xb1-160k_cityscapes-1024x1024.py", 6e-4),
    "bisenetv2": ("bisenetv2/bisenetv2_fcn_4xb4-160k_cityscapes-1024x1024.py", 2e-3),
    "stdc1": ("stdc/stdc1_4xb12-80k_cityscapes-512x1024.py", 2e-3),
    "ddrnet-23-slim": ("ddrnet/ddrnet_23-slim_in1k-pre_2xb6-120k_cityscapes-1024x1024.py", 2e-3),
    "pidnet-s": ("pidnet/pidnet-s_2xb6-120k_1024x1024-cityscapes.py", 2e-3),
    "unet": ("unet/unet-s5-d16_fcn_4xb4-160k_cityscapes-512x1024.py", 1e-3),
    "pspnet-r18": ("pspnet/pspnet_r18-d8_4xb2-80k_cityscapes-512x1024.py", 1e-3),
    "deeplabv3plus-r18": ("deeplabv3plus/deeplabv3plus_r18-d8_4xb2-80k_cityscapes-512x1024.py", 1e-3),
    "segmenter-t": ("segmenter/segmenter_vit-t_mask_8xb1-160k_ade20k-512x512.py", 4e-4),
    "segnext-t": ("segnext/segnext_mscan-t_1xb16-adamw-160k_ade20k-512x512.py", 6e-4),
    "swin-t": ("swin/swin-tiny-patch4-window7-in1k-pre_upernet_8xb2-160k_ade20k-512x512.py", 6e-4),
}
"""Name -> config of MMSegmentation, and the greatest learning rate."""

_PIPELINE = {
    "test_pipeline": [
        {"type": "LoadImageFromFile"},
        {"type": "Resize", "scale": (1024, 512), "keep_ratio": False},  # not every network takes every size
        {"type": "LoadAnnotations", "reduce_zero_label": False},  # ADE20K's configs leave its first label out
        {"type": "PackSegInputs"},
    ]
}
_EVERY = 100  # steps between two checkpoints


def configs() -> Path:
    """Folder of MMSegmentation's config files: from $SEGSHIP_MMSEG_CONFIGS or the installed wheel, never imported."""
    named = os.environ.get("SEGSHIP_MMSEG_CONFIGS")
    found = importlib.util.find_spec("mmseg")
    if named or found is None:
        return Path(named or "mmseg-configs-are-missing: pip install --no-deps mmsegmentation==1.2.2")
    return Path(next(iter(found.submodule_search_locations or ())), ".mim", "configs")


def options_of(name: str) -> dict[str, Any]:
    """What is changed in a network's config: seven classes, whole images of the scenes' size."""
    changed: dict[str, Any] = {"model.decode_head.num_classes": len(CLASSES), "model.test_cfg": {"mode": "whole"}}
    # Segmenter's config has other numbers than those that everything is trained with here.
    changed |= {"model.data_preprocessor.mean": list(MEAN), "model.data_preprocessor.std": list(STD)}
    if name == "segmenter-t":
        changed |= {"model.backbone.img_size": (512, 1024)}
    if name == "unet":  # a quarter of the channels: the whole network takes fifty times as long as STDC1
        changed |= {"model.backbone.base_channels": 16, "model.decode_head.in_channels": 16}
        changed |= {"model.decode_head.channels": 16, "model.auxiliary_head": None}
    if name == "swin-t":  # half of the channels, and an eighth in its head, which takes most of the time
        widths = [48, 96, 192, 384]
        changed |= {"model.backbone.embed_dims": widths[0], "model.decode_head.in_channels": widths}
        changed |= {"model.decode_head.channels": 64, "model.auxiliary_head": None}
    return changed | _PIPELINE


def build(name: str) -> Network:
    """The network with random weights, ready to be trained."""
    network = segship.load_network(configs() / NETWORKS[name][0], cfg_options=options_of(name))
    return network.requires_grad_(requires_grad=True).train()


def draw(folder: Path, workers: int, seeds: Sequence[int] = TRAINING) -> list[Scene]:
    """The training scenes, drawn once and then read."""
    path = folder / "scenes.npz"
    if not path.is_file():
        with ProcessPoolExecutor(workers) as pool:
            scenes = list(pool.map(draw_scene, seeds, chunksize=20))
        images, labels = ([getattr(scene, part) for scene in scenes] for part in ("image", "label"))
        replace(path, lambda file: np.savez_compressed(file, images=np.stack(images), labels=np.stack(labels)))
    with np.load(path) as stored:
        return [Scene(*pair) for pair in zip(stored["images"], stored["labels"], strict=True)]


def kept_apart(folder: Path, seeds: range = HELD_OUT) -> list[Scene]:
    """Scenes that nothing is trained on, drawn once and then read: ``images`` and ``labels`` of ``folder``."""
    labels = sorted((folder / "labels").glob("*.png"))
    if len(labels) < len(seeds):
        return draw_held_out(folder, seeds)
    pairs = ((folder / "images" / f"{label.stem}.jpg", label) for label in labels)
    return [Scene(*(np.asarray(Image.open(file)) for file in pair)) for pair in pairs]


def replace(path: Path, write: Callable[[Any], object]) -> None:
    """Write a file under another name and put it in its place: a process that is ended leaves the old one."""
    part = path.with_name(f"{path.name}.part")
    with part.open("wb") as file:
        write(file)
    part.replace(path)


def batch_of(scenes: list[Scene], size: int, seed: int, step: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The inputs and labels of one step, which follow from the seed and the step alone."""
    rng = np.random.default_rng((seed, step))
    torch.manual_seed(seed * 1_000_003 + step)  # of what the network itself draws
    parts = [augment(rng, scenes[rng.integers(len(scenes))]) for _ in range(size)]
    labels = torch.from_numpy(np.stack([label for _, label in parts])).long()
    return to_tensor(np.stack([part for part, _ in parts])), labels


class Settings(NamedTuple):
    """How networks are trained.

    Attributes:
        steps: Of the whole training.
        batch: Parts of scenes in a step.
        seed: Of weights and parts.
        device: Where torch computes.
        autocast: Whether it computes in bfloat16.
        until: The step to stop at for now; 0: none.
        deadline: Of `time.monotonic`, at which it stops for now.
    """

    steps: int = 1200
    batch: int = 8
    seed: int = 0
    device: str = "cpu"
    autocast: bool = False
    until: int = 0
    deadline: float = math.inf


def train(name: str, scenes: list[Scene], folder: Path, settings: Settings) -> Network | None:
    """Train a network, from its last checkpoint in ``folder`` where there is one; None: the deadline came first."""
    steps, last, kept = settings.steps, settings.until or settings.steps, folder / f"{name}.state"
    torch.manual_seed(settings.seed)
    network, rate = build(name).to(settings.device), NETWORKS[name][1]
    optimizer = torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, steps, pct_start=0.15, cycle_momentum=False)
    parts = {"network": network, "optimizer": optimizer, "schedule": schedule}
    start = time.monotonic()
    for step in range(_resume(parts, kept, settings.device) + 1, last + 1):
        loss = loss_of(network, batch_of(scenes, settings.batch, settings.seed, step), settings)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        late = time.monotonic() > settings.deadline and step < steps
        if late or step % _EVERY == 0 or step == last:
            state = {key: part.state_dict() for key, part in parts.items()} | {"step": step}
            replace(kept, lambda file, state=state: torch.save(state, file))  # type: ignore[misc]
            took = time.monotonic() - start
            print(f"{name}: step {step} of {steps}, loss {loss.item():.3f}, {took:.0f} s", flush=True)
        if late:
            return None
    return network.eval().cpu()


def _resume(parts: dict[str, Any], kept: Path, device: str) -> int:
    """Put the last checkpoint into the parts of a training; how many steps were done."""
    if not kept.is_file():
        return 0
    state = torch.load(kept, map_location=device, weights_only=True)
    for key, part in parts.items():
        part.load_state_dict(state[key])
    return int(state["step"])


def loss_of(network: Network, batch: tuple[torch.Tensor, torch.Tensor], settings: Settings) -> torch.Tensor:
    """Cross entropy and overlap of a batch."""
    inputs, labels = batch
    with torch.autocast(settings.device, torch.bfloat16, enabled=settings.autocast):
        scores = network.logits(inputs.to(settings.device))
    logits = resize(scores.float(), labels.shape[1:]).cpu()
    return entropy_of(logits, labels) + 0.5 * overlap_loss(logits, labels)


def finish(name: str, network: Network, held_out: list[Scene], folder: Path, trained: str = "") -> None:
    """Write the weights, what was changed in the config, and the figures; the training state is not needed any more."""
    with torch.inference_mode():
        found = measure(network, held_out, keep_ratio=False)  # type: ignore[arg-type]
    save(network, folder / f"{name}.part")
    (folder / f"{name}.part").replace(folder / f"{name}.pth")
    record = {
        "config": NETWORKS[name][0],
        "options": options_of(name),
        "iou": {label: round(float(value), 2) for label, value in zip(CLASSES, found, strict=True)},
        "mIoU": round(float(found.mean()), 2),
        "sha256": hashlib.sha256((folder / f"{name}.pth").read_bytes()).hexdigest(),
        "torch": torch.__version__,
        "training": trained,
    }
    replace(folder / f"{name}.json", lambda file: file.write(json.dumps(record, indent=1).encode()))
    (folder / f"{name}.state").unlink(missing_ok=True)
    print(f"{name}: mIoU {record['mIoU']}", flush=True)


def pack(folder: Path) -> Path:
    """Write all networks into ``trained-networks.tar``, without times and owners, and return it."""
    path = folder / "trained-networks.tar"
    index = {name: json.loads((folder / f"{name}.json").read_text()) for name in NETWORKS if done(folder, name)}
    (folder / "index.json").write_text(json.dumps(index, indent=1) + "\n")
    with tarfile.open(path, "w") as archive:
        for file in ("index.json", *(f"{name}.pth" for name in index)):
            entry = archive.gettarinfo(folder / file, file)
            entry.mtime = entry.uid = entry.gid = 0
            entry.uname = entry.gname = ""
            with (folder / file).open("rb") as content:
                archive.addfile(entry, content)
    return path


def done(folder: Path, name: str) -> bool:
    """Whether a network is trained."""
    return (folder / f"{name}.json").is_file() and (folder / f"{name}.pth").is_file()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--to", type=Path, required=True, help="folder for scenes and networks")
    parser.add_argument("--only", default=",".join(NETWORKS), help="names, separated by commas")
    parser.add_argument("--steps", type=int, default=1200)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--autocast", action="store_true", help="compute in bfloat16")
    parser.add_argument("--scenes", type=int, default=len(TRAINING), help="how many are drawn to train on")
    parser.add_argument("--minutes", type=float, default=math.inf, help="stop after as many, to be called again")
    parser.add_argument("--workers", type=int, default=2, help="processes that draw, and threads that train")
    parser.add_argument("--pack", action="store_true", help="write one file of all that is trained")
    options = parser.parse_args()
    names = options.only.split(",")
    if strange := sorted(set(names) - NETWORKS.keys()):
        parser.error(f"there is no {strange[0]!r}: {', '.join(NETWORKS)} are")
    options.names = names
    return options


def main() -> int:
    """Draw, train what is missing, measure, pack."""
    options = _options()
    torch.set_num_threads(options.workers)
    torch.use_deterministic_algorithms(mode=True, warn_only=options.device != "cpu")
    options.to.mkdir(parents=True, exist_ok=True)
    held_out = kept_apart(options.to / "held_out")
    kept_apart(options.to / "calibration", CALIBRATION)
    scenes = draw(options.to, options.workers, TRAINING[: options.scenes])
    deadline = time.monotonic() + 60 * options.minutes
    settings = Settings(options.steps, options.batch, options.seed, options.device, options.autocast, 0, deadline)
    trained = f"{options.steps} steps of {options.batch} parts of {len(scenes)} scenes, seed {options.seed}"
    for name in options.names:
        if not done(options.to, name):
            network = train(name, scenes, options.to, settings)
            if network is None:
                break
            finish(name, network, held_out, options.to, trained)
    if options.pack:
        print(pack(options.to))
    return 0


if __name__ == "__main__":
    sys.exit(main())
