"""Draw the demo's scenes and train its network on them: less than half an hour on one core of a CPU.

``python demo/train_demo.py`` writes images, labels and the checkpoint beside the config in
``src/segship/assets/demo``. Nothing is fetched, everything follows from fixed seeds; another machine or another
version of PyTorch rounds differently, so its weights differ, its accuracy hardly.
"""

from __future__ import annotations

import argparse
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

import segship
from demo_scenes import CLASSES, PALETTE, Scene, draw_scene
from segship.networks.resample import resize

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from segship.models.segmentor import EncoderDecoder

HERE = Path(__file__).resolve().parents[1] / "src" / "segship" / "assets" / "demo"
CONFIG = HERE / "fast_scnn_scenes.py"
HELD_OUT = range(16)
TRAINING = range(1000, 1400)
ODD = (251, 437)  # the last held-out scene, for sizes that nothing divides
CROP = (128, 256)  # of a scene, (height, width); the network sees it ZOOM times as large, as the config's test pipeline
ZOOM = 2
MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
WEIGHTS = (1.0, 1.3, 1.0, 1.0, 1.0, 2.0, 1.2)  # of the classes in the cross entropy: the rare ones count for more


def draw_held_out(folder: Path, seeds: range = HELD_OUT) -> list[Scene]:
    """Draw scenes that nothing is trained on and write them: JPEG pictures and palette PNG labels.

    Returns:
        The scenes as they were written: the pictures have passed through JPEG.
    """
    for name in ("images", "labels"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    scenes = []
    for seed in seeds:
        scene = draw_scene(seed, *ODD) if seed == HELD_OUT[-1] else draw_scene(seed)
        picture = folder / "images" / f"scene_{seed:02}.jpg"
        Image.fromarray(scene.image).save(picture, quality=95)
        labels = Image.fromarray(scene.label, mode="P")
        labels.putpalette([value for color in PALETTE for value in color])
        labels.save(folder / "labels" / f"scene_{seed:02}.png", optimize=True)
        scenes.append(Scene(np.asarray(Image.open(picture)), scene.label))
    return scenes


def draw_training(workers: int) -> list[Scene]:
    """Draw the training scenes."""
    if workers == 1:
        return [draw_scene(seed) for seed in TRAINING]
    with ProcessPoolExecutor(workers) as pool:
        return list(pool.map(draw_scene, TRAINING, chunksize=10))


def light_table(light: NDArray[np.float64] | float = 1.0, more: float = 0.0) -> NDArray[np.float32]:
    """What each channel value becomes: brightened, clipped, normalised.

    Args:
        light: Factor of all channels, or of each.
        more: Added to all of them.

    Returns:
        float32 (1, 256, 3) for ``cv2.LUT``.
    """
    values = np.clip(np.arange(256)[:, None] * light + more, 0, 255)
    return np.asarray((values - MEAN) / STD, np.float32)[None]


def augment(rng: np.random.Generator, scene: Scene) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """A random part of a scene at a random scale, at times mirrored, in another light.

    Small scales show a whole scene: the network must know its surroundings as it will meet them.

    Returns:
        Normalised float32 (ZOOM * CROP, 3), and uint8 labels of the size ``CROP``.
    """
    scale = np.exp(rng.uniform(np.log(0.6), np.log(1.3)))
    height, width = (int(side / scale) for side in CROP)
    top = rng.integers(scene.label.shape[0] - height + 1)
    left = rng.integers(scene.label.shape[1] - width + 1)
    part = (slice(top, top + height), slice(left, left + width))
    image = cv2.resize(scene.image[part], (ZOOM * CROP[1], ZOOM * CROP[0]), interpolation=cv2.INTER_LINEAR)
    label = cv2.resize(scene.label[part], CROP[::-1], interpolation=cv2.INTER_NEAREST)
    table = light_table(rng.uniform(0.8, 1.2) * rng.uniform(0.94, 1.06, 3), rng.uniform(-15, 15))
    inputs = cv2.LUT(image, table)
    if rng.random() < 0.5:
        inputs, label = inputs[:, ::-1], label[:, ::-1]
    return np.asarray(inputs, np.float32), np.asarray(label, np.uint8)


def to_tensor(inputs: NDArray[np.float32]) -> Tensor:
    """(N, H, W, 3) -> (N, 3, H, W), channels last in memory, which trains 1.6 times as fast on a CPU."""
    return torch.from_numpy(inputs).permute(0, 3, 1, 2)


def entropy_of(logits: Tensor, labels: Tensor) -> Tensor:
    """Weighted cross entropy of logits (N, C, H, W) and int64 labels (N, H, W)."""
    return F.cross_entropy(logits, labels, weight=torch.tensor(WEIGHTS))


def overlap_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """What a soft IoU lacks to 1, in the mean over the classes that occur; logits and labels of one size."""
    shares = logits.softmax(1)
    truth = F.one_hot(labels, len(CLASSES)).permute(0, 3, 1, 2).to(shares.dtype)
    both = (shares * truth).sum((0, 2, 3))
    either = (shares + truth).sum((0, 2, 3)) - both
    return 1 - (both / either)[truth.sum((0, 2, 3)) > 0].mean()


def loss_of(network: EncoderDecoder, inputs: Tensor, labels: Tensor) -> Tensor:
    """Cross entropy and overlap of the decode head, and cross entropy of the auxiliary heads."""
    features = network.backbone(inputs)
    logits = resize(network.decode_head(features), labels.shape[1:])
    loss = entropy_of(logits, labels) + 0.5 * overlap_loss(logits, labels)
    coarse = labels[:, ::2, ::2]
    for head in network.auxiliary_head.children():
        loss = loss + 0.4 * entropy_of(resize(head(features), coarse.shape[1:]), coarse)
    return loss


def train(network: EncoderDecoder, scenes: list[Scene], steps: int, batch: int, seed: int) -> None:
    """Train in place: AdamW, one cycle of the learning rate."""
    rng = np.random.default_rng(seed)
    optimizer = torch.optim.AdamW(network.parameters(), lr=4e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, steps, pct_start=0.15, cycle_momentum=False)
    network.train()
    start = time.monotonic()
    for step in range(1, steps + 1):
        parts = [augment(rng, scenes[rng.integers(len(scenes))]) for _ in range(batch)]
        inputs = to_tensor(np.stack([part for part, _ in parts]))
        loss = loss_of(network, inputs, torch.from_numpy(np.stack([label for _, label in parts])).long())
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        if step % 50 == 0:
            print(f"step {step} of {steps}, loss {loss.item():.3f}, {time.monotonic() - start:.0f} s", flush=True)
    network.eval()


def measure(network: EncoderDecoder, scenes: list[Scene], *, keep_ratio: bool = True) -> NDArray[np.float64]:
    """IoU of each class in percent, as the config's test pipeline sees the scenes; ``keep_ratio`` is its own."""
    counts = np.zeros((len(CLASSES), len(CLASSES)), np.int64)
    for scene in scenes:
        height, width = scene.label.shape
        zoom = min(512 / height, 1024 / width)
        size = (int(width * zoom + 0.5), int(height * zoom + 0.5)) if keep_ratio else (1024, 512)
        image = cv2.resize(scene.image, size, interpolation=cv2.INTER_LINEAR)
        with torch.inference_mode():
            logits = network(to_tensor(np.asarray(cv2.LUT(image, light_table()), np.float32)[None]))
            found = resize(logits, scene.label.shape).argmax(1)[0].numpy()
        pairs = scene.label.astype(np.int64) * len(CLASSES) + found
        counts += np.bincount(pairs.ravel(), minlength=counts.size).reshape(counts.shape)
    right = counts.diagonal()
    return np.asarray(100 * right / (counts.sum(0) + counts.sum(1) - right), np.float64)


def save(network: torch.nn.Module, path: Path) -> None:
    """Write the checkpoint in the form of MMEngine's published files."""
    meta = {"dataset_meta": {"classes": CLASSES, "palette": [list(color) for color in PALETTE]}}
    weights = {name: value.contiguous() for name, value in network.state_dict().items()}
    torch.save({"meta": meta, "state_dict": weights}, path)


def main() -> int:
    """Draw, train, measure, save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=1800)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1, help="processes that draw, and threads that train")
    parser.add_argument("--to", type=Path, default=HERE, help="folder for images, labels and checkpoint")
    parser.add_argument("--scenes-only", action="store_true", help="draw the held-out scenes and stop")
    options = parser.parse_args()
    torch.set_num_threads(options.workers)
    torch.use_deterministic_algorithms(mode=True)
    torch.manual_seed(options.seed)
    held_out = draw_held_out(options.to)
    if options.scenes_only:
        return 0
    scenes = draw_training(options.workers)
    network = segship.load_network(CONFIG, with_auxiliary=True).requires_grad_(requires_grad=True)
    train(network, scenes, options.steps, options.batch, options.seed)
    save(network, options.to / "fast_scnn_scenes.pth")
    found = measure(network, held_out)
    for name, value in zip(CLASSES, found, strict=True):
        print(f"{name:12}{value:6.2f}")
    print(f"{'mIoU':12}{found.mean():6.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
