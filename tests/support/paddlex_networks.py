"""Three of PaddleX's networks of semantic segmentation, built with Paddle, as folders that its training exports.

Runs where Paddle is installed and imports nothing of Segship:

    FOLDER_OF_THE_ENVIRONMENT/bin/python tests/support/paddlex_networks.py PP-LiteSeg-T OUT '[{"type": "Normalize"}]'

The networks are written from their papers, with an eighth of their channels: PP-LiteSeg (arXiv:2204.02681), SegFormer
(arXiv:2105.15203), OCRNet (arXiv:1909.11065). Weights are those of `paddle_networks.build`.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import paddle
import paddle.nn.functional as F
from paddle import nn

sys.path.insert(0, str(Path(__file__).parent))
import paddle_networks
from paddle_networks import CLASSES, NETWORKS, ConvBN, ResNet50, resize_to

if TYPE_CHECKING:
    from paddle_networks import Scale

WIDTH = 0.125


class Halving(nn.Layer):
    """STDC's block of stride 2: convolutions of falling width, of which all are kept."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        half, quarter, eighth = outputs // 2, outputs // 4, outputs // 8
        self.first = ConvBN(inputs, half, 1)
        self.small = ConvBN(half, half, stride=2, groups=half, relu=False)
        self.pool = nn.AvgPool2D(3, 2, 1)
        self.second, self.third, self.last = ConvBN(half, quarter), ConvBN(quarter, eighth), ConvBN(eighth, eighth)

    def forward(self, x: Any) -> Any:
        """(N, inputs, H, W) -> (N, outputs, H / 2, W / 2)."""
        first = self.first(x)
        second = self.second(self.small(first))
        third = self.third(second)
        return paddle.concat([self.pool(first), second, third, self.last(third)], axis=1)


class Pyramid(nn.Layer):
    """Means over 1, 4 and 16 parts of the image, added up."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.means = nn.LayerList(
            [nn.Sequential(nn.AdaptiveAvgPool2D(parts), ConvBN(inputs, outputs, 1)) for parts in (1, 2, 4)]
        )
        self.merge = ConvBN(outputs, outputs)

    def forward(self, x: Any) -> Any:
        """(N, inputs, h, w) -> (N, outputs, h, w)."""
        first, *others = [resize_to(mean(x), x) for mean in self.means]
        return self.merge(sum(others, first))


class Attending(nn.Layer):
    """PP-LiteSeg's fusion: where the one of two features counts is computed from means and maxima of both."""

    def __init__(self, low: int, high: int, outputs: int) -> None:
        super().__init__()
        self.same = ConvBN(low, high)
        self.weigh = nn.Sequential(ConvBN(4, 2), ConvBN(2, 1, relu=False))
        self.out = ConvBN(high, outputs)

    def forward(self, low: Any, high: Any) -> Any:
        """(N, low, h, w), (N, high, h / 2, w / 2) -> (N, outputs, h, w)."""
        low = self.same(low)
        high = resize_to(high, low)
        seen = [take(x, axis=1, keepdim=True) for x in (low, high) for take in (paddle.mean, paddle.max)]
        weight = F.sigmoid(self.weigh(paddle.concat(seen, axis=1)))
        return self.out(low * weight + high * (1 - weight))


class PPLiteSeg(nn.Layer):
    """PP-LiteSeg with the first blocks of STDC."""

    def __init__(self, scale: Scale) -> None:
        super().__init__()
        wide, deep = scale(256), scale(512)
        self.stem = nn.Sequential(ConvBN(3, scale(32), stride=2), ConvBN(scale(32), scale(64), stride=2))
        self.eighth, self.sixteenth, self.last = Halving(scale(64), wide), Halving(wide, deep), Halving(deep, 2 * deep)
        self.pyramid = Pyramid(2 * deep, scale(128))
        self.middle, self.fine = Attending(deep, scale(128), scale(64)), Attending(wide, scale(64), scale(32))
        self.classify = nn.Sequential(ConvBN(scale(32), scale(32)), nn.Conv2D(scale(32), CLASSES, 1, bias_attr=False))

    def forward(self, x: Any) -> Any:
        """(N, 3, H, W) -> scores (N, CLASSES, H, W)."""
        eighth = self.eighth(self.stem(x))
        sixteenth = self.sixteenth(eighth)
        context = self.pyramid(self.last(sixteenth))
        return resize_to(self.classify(self.fine(eighth, self.middle(sixteenth, context))), x)


class Reduced(nn.Layer):
    """SegFormer's block: attention to a coarser image, then a convolution between two linear layers."""

    def __init__(self, width: int, heads: int, reduction: int) -> None:
        super().__init__()
        self.heads, self.size = heads, width // heads
        self.before, self.after = nn.LayerNorm(width, 1e-6), nn.LayerNorm(width, 1e-6)
        self.query, self.both, self.out = nn.Linear(width, width), nn.Linear(width, 2 * width), nn.Linear(width, width)
        self.reduce = nn.Conv2D(width, width, reduction, reduction) if reduction > 1 else None
        self.norm = nn.LayerNorm(width)
        self.widen, self.narrow = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.mix = nn.Conv2D(4 * width, 4 * width, 3, padding=1, groups=4 * width)

    def forward(self, x: Any, height: Any, width: Any) -> Any:
        """(N, height * width, C) -> the same."""
        x = x + self.attend(self.before(x), height, width)
        inner = self.widen(self.after(x))
        inner = self.mix(inner.transpose([0, 2, 1]).reshape([0, inner.shape[2], height, width]))
        return x + self.narrow(F.gelu(inner.flatten(2).transpose([0, 2, 1])))

    def attend(self, x: Any, height: Any, width: Any) -> Any:
        """(N, height * width, C) -> the same."""
        query = self.query(x).reshape([0, -1, self.heads, self.size]).transpose([0, 2, 1, 3])
        if self.reduce is not None:
            image = x.transpose([0, 2, 1]).reshape([0, x.shape[2], height, width])
            x = self.norm(self.reduce(image).flatten(2).transpose([0, 2, 1]))
        key, value = self.both(x).reshape([0, -1, 2, self.heads, self.size]).transpose([2, 0, 3, 1, 4])
        weight = F.softmax(paddle.matmul(query, key, transpose_y=True) * self.size**-0.5, axis=-1)
        return self.out(paddle.matmul(weight, value).transpose([0, 2, 1, 3]).flatten(2))


class SegFormer(nn.Layer):
    """SegFormer with one block in each stage."""

    def __init__(self, scale: Scale) -> None:
        super().__init__()
        widths, inner = [scale(64), scale(128), scale(256), scale(512)], scale(256)
        plan = zip([3, *widths], widths, (7, 3, 3, 3), (4, 2, 2, 2), strict=False)
        self.embed = nn.LayerList([nn.Conv2D(a, b, kernel, step, kernel // 2) for a, b, kernel, step in plan])
        self.first = nn.LayerList([nn.LayerNorm(width) for width in widths])
        blocks = zip(widths, (1, 2, 4, 8), (8, 4, 2, 1), strict=True)
        self.blocks = nn.LayerList([Reduced(*arguments) for arguments in blocks])
        self.last = nn.LayerList([nn.LayerNorm(width) for width in widths])
        self.bring = nn.LayerList([nn.Linear(width, inner) for width in widths])
        self.merge = ConvBN(4 * inner, inner, 1)
        self.classify = nn.Conv2D(inner, CLASSES, 1)

    def forward(self, x: Any) -> Any:
        """(N, 3, H, W) -> scores (N, CLASSES, H, W)."""
        features, image = [], x
        for number, embed in enumerate(self.embed):
            image = embed(image)
            height, width = paddle.shape(image)[2:]
            tokens = self.first[number](image.flatten(2).transpose([0, 2, 1]))
            tokens = self.last[number](self.blocks[number](tokens, height, width))
            image = tokens.transpose([0, 2, 1]).reshape([0, tokens.shape[2], height, width])
            inner = self.bring[number](tokens)
            features.append(inner.transpose([0, 2, 1]).reshape([0, inner.shape[2], height, width]))
        same = [resize_to(feature, features[0]) for feature in reversed(features)]
        return resize_to(self.classify(self.merge(paddle.concat(same, axis=1))), x)


class OCRNet(nn.Layer):
    """OCRNet with ResNet-50 instead of HRNet: every pixel asks the classes' mean features."""

    def __init__(self, scale: Scale) -> None:
        super().__init__()
        self.backbone = ResNet50(scale)
        inputs, inner, narrow = self.backbone.high, scale(512), scale(256)
        self.soft = nn.Sequential(ConvBN(inputs, inputs, 1), nn.Conv2D(inputs, CLASSES, 1))
        self.pixels = ConvBN(inputs, inner)
        self.query = nn.Sequential(ConvBN(inner, narrow, 1), ConvBN(narrow, narrow, 1))
        self.key = nn.Sequential(ConvBN(inner, narrow, 1), ConvBN(narrow, narrow, 1))
        self.value, self.back = ConvBN(inner, narrow, 1), ConvBN(narrow, inner, 1)
        self.merge = ConvBN(2 * inner, inner, 1)
        self.classify = nn.Conv2D(inner, CLASSES, 1)

    def forward(self, x: Any) -> Any:
        """(N, 3, H, W) -> scores (N, CLASSES, H, W)."""
        features = self.backbone(x)[1]
        pixels = self.pixels(features)
        share = F.softmax(self.soft(features).flatten(2), axis=2)
        means = paddle.bmm(share, pixels.flatten(2).transpose([0, 2, 1])).transpose([0, 2, 1]).unsqueeze(3)
        query, key, value = self.query(pixels).flatten(2), self.key(means).flatten(2), self.value(means).flatten(2)
        weight = F.softmax(paddle.bmm(query.transpose([0, 2, 1]), key) * query.shape[1] ** -0.5, axis=-1)
        seen = paddle.bmm(weight, value.transpose([0, 2, 1])).transpose([0, 2, 1])
        height, width = paddle.shape(pixels)[2:]
        context = self.back(seen.reshape([0, value.shape[1], height, width]))
        return resize_to(self.classify(self.merge(paddle.concat([context, pixels], axis=1))), x)


MODELS = {"PP-LiteSeg-T": PPLiteSeg, "SegFormer-B0": SegFormer, "OCRNet_HRNet-W18": OCRNet}
"""What PaddleX calls each."""


def write(name: str, folder: Path, transforms: list[dict[str, Any]], *, output_op: str = "argmax") -> None:
    """Write what PaddleX's training exports: ``inference.yml``, ``inference.json`` and ``inference.pdiparams``."""
    NETWORKS[name] = MODELS[name]
    paddle_networks.save(paddle_networks.build(name, WIDTH), folder, output_op=output_op)
    (folder / "deploy.yaml").unlink()
    for kind in ("json", "pdiparams"):
        (folder / f"model.{kind}").rename(folder / f"inference.{kind}")
    describe(name, folder, transforms)


def describe(name: str, folder: Path, transforms: list[dict[str, Any]]) -> None:
    """Write ``inference.yml``, in JSON's letters, which are YAML's as well."""
    deploy = {"model": "inference.json", "params": "inference.pdiparams", "transforms": transforms}
    values = {"Global": {"model_name": name}, "Deploy": deploy}
    (folder / "inference.yml").write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")


def main() -> None:
    """Write one network."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("name", choices=MODELS)
    parser.add_argument("folder", type=Path)
    parser.add_argument("transforms", type=json.loads, help="JSON: the list of transforms")
    parser.add_argument("--output-op", choices=("argmax", "softmax", "none"), default="argmax")
    arguments = parser.parse_args()
    write(arguments.name, arguments.folder, arguments.transforms, output_op=arguments.output_op)


if __name__ == "__main__":
    main()
