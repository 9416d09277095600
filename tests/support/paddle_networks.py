"""Build segmentation networks with Paddle and write them as inference folders, as PaddleSeg's export does.

Runs in Paddle's own environment (`segship doctor --setup paddle`) and imports nothing of Segship:

    FOLDER_OF_THE_ENVIRONMENT/bin/python tests/support/paddle_networks.py bisenetv2 OUT --width 0.125

The networks are written from their papers: BiSeNetV2 (arXiv:2004.02147), DANet (arXiv:1809.02983), DeepLabV3
(arXiv:1706.05587), DeepLabV3+ (arXiv:1802.02611), HRNet (arXiv:1908.07919), ResNet-D (arXiv:1812.01187). Weights are
random; batch statistics are those of random pictures, so that the scores are of a trained network's size.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import paddle
import paddle.nn.functional as F
from paddle import nn

if TYPE_CHECKING:
    from collections.abc import Callable

    Scale = Callable[[int], int]

CLASSES = 19
_WARMING = (4, 128, 160)  # images, height, width

NORMALIZE = "  - type: Normalize\n"
_YAML = """Deploy:
  input_shape: {shape}
  model: {model}
  output_dtype: {dtype}
  output_op: {output_op}
  params: model.pdiparams
  transforms:
{transforms}"""


class ConvBN(nn.Layer):
    """Convolution, batch normalisation, ReLU."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int = 3,
        *,
        stride: int = 1,
        dilation: int = 1,
        groups: int = 1,
        relu: bool = True,
    ) -> None:
        super().__init__()
        padding = dilation * (kernel // 2)
        self.conv = nn.Conv2D(inputs, outputs, kernel, stride, padding, dilation, groups, bias_attr=False)
        self.norm = nn.BatchNorm2D(outputs)
        self.relu = relu

    def forward(self, x: Any) -> Any:
        """(N, inputs, H, W) -> (N, outputs, h, w)."""
        x = self.norm(self.conv(x))
        return F.relu(x) if self.relu else x


def separable(inputs: int, outputs: int, *, dilation: int = 1) -> Any:
    """Depthwise, then pointwise."""
    return nn.Sequential(ConvBN(inputs, inputs, dilation=dilation, groups=inputs), ConvBN(inputs, outputs, 1))


def resize_to(x: Any, like: Any) -> Any:
    """``x`` at the height and width of ``like``."""
    return F.interpolate(x, paddle.shape(like)[2:], mode="bilinear", align_corners=False)


class Bottleneck(nn.Layer):
    """A residual block whose shortcut averages where it shrinks (ResNet-D)."""

    def __init__(self, inputs: int, width: int, *, stride: int = 1, dilation: int = 1) -> None:
        super().__init__()
        outputs = 4 * width
        self.body = nn.Sequential(
            ConvBN(inputs, width, 1),
            ConvBN(width, width, stride=stride, dilation=dilation),
            ConvBN(width, outputs, 1, relu=False),
        )
        self.pool = nn.AvgPool2D(2, 2, ceil_mode=True) if stride > 1 else None
        self.shortcut = ConvBN(inputs, outputs, 1, relu=False) if inputs != outputs else None

    def forward(self, x: Any) -> Any:
        """(N, inputs, H, W) -> (N, 4 width, h, w)."""
        skipped = x if self.pool is None else self.pool(x)
        skipped = skipped if self.shortcut is None else self.shortcut(skipped)
        return F.relu(self.body(x) + skipped)


class ResNet50(nn.Layer):
    """Output stride 8, deep stem, multi-grid in the last stage; returns the features of the first and last stage."""

    def __init__(self, scale: Scale) -> None:
        super().__init__()
        wide, stem = scale(64), scale(32)
        self.stem = nn.Sequential(
            ConvBN(3, stem, stride=2), ConvBN(stem, stem), ConvBN(stem, wide), nn.MaxPool2D(3, 2, 1)
        )
        plan = ((3, 1, 1, (1,)), (4, 2, 1, (1,)), (6, 1, 2, (1,)), (3, 1, 4, (1, 2, 4)))
        stages, inputs = [], wide
        for number, (depth, stride, dilation, grid) in enumerate(plan):
            width = wide * 2**number
            blocks = []
            for index in range(depth):
                step = stride if index == 0 else 1
                blocks.append(Bottleneck(inputs, width, stride=step, dilation=dilation * grid[index % len(grid)]))
                inputs = 4 * width
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.LayerList(stages)
        self.low, self.high = 4 * wide, inputs

    def forward(self, x: Any) -> Any:
        """(N, 3, H, W) -> (N, low, H/4, W/4), (N, high, H/8, W/8)."""
        x = low = self.stages[0](self.stem(x))
        for stage in self.stages[1:]:
            x = stage(x)
        return low, x


class ASPP(nn.Layer):
    """Convolutions of several rates beside the mean of the image."""

    def __init__(self, inputs: int, outputs: int, *, apart: bool = False) -> None:
        super().__init__()
        make = separable if apart else ConvBN
        self.branches = nn.LayerList(
            [ConvBN(inputs, outputs, 1), *(make(inputs, outputs, dilation=d) for d in (12, 24, 36))]
        )
        self.image = nn.Sequential(nn.AdaptiveAvgPool2D(1), ConvBN(inputs, outputs, 1))
        self.merge = ConvBN(5 * outputs, outputs, 1)

    def forward(self, x: Any) -> Any:
        """(N, inputs, h, w) -> (N, outputs, h, w)."""
        every = [branch(x) for branch in self.branches]
        return self.merge(paddle.concat([*every, resize_to(self.image(x), x)], axis=1))


class DeepLabV3(nn.Layer):
    """DeepLabV3 with ResNet-50."""

    def __init__(self, scale: Scale) -> None:
        super().__init__()
        self.backbone = ResNet50(scale)
        self.aspp = ASPP(self.backbone.high, scale(256))
        self.classify = nn.Conv2D(scale(256), CLASSES, 1)

    def forward(self, x: Any) -> Any:
        """(N, 3, H, W) -> scores (N, CLASSES, H, W)."""
        return resize_to(self.classify(self.aspp(self.backbone(x)[1])), x)


class DeepLabV3P(nn.Layer):
    """DeepLabV3+ with ResNet-50."""

    def __init__(self, scale: Scale) -> None:
        super().__init__()
        self.backbone = ResNet50(scale)
        self.aspp = ASPP(self.backbone.high, scale(256), apart=True)
        self.reduce = ConvBN(self.backbone.low, scale(48), 1)
        self.merge = nn.Sequential(separable(scale(256) + scale(48), scale(256)), separable(scale(256), scale(256)))
        self.classify = nn.Conv2D(scale(256), CLASSES, 1)

    def forward(self, x: Any) -> Any:
        """(N, 3, H, W) -> scores (N, CLASSES, H, W)."""
        low, high = self.backbone(x)
        low = self.reduce(low)
        return resize_to(self.classify(self.merge(paddle.concat([resize_to(self.aspp(high), low), low], axis=1))), x)


class Positions(nn.Layer):
    """Every position attends to every other."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        narrow = max(channels // 8, 1)
        # Larger random weights saturate the softmax, which then picks one of nearly equal positions by rounding.
        small = nn.initializer.Normal(std=0.02)
        self.query, self.key = (nn.Conv2D(channels, narrow, 1, weight_attr=small) for _ in range(2))
        self.value = nn.Conv2D(channels, channels, 1)
        self.gamma = self.create_parameter([1], default_initializer=nn.initializer.Constant(0.5))

    def forward(self, x: Any) -> Any:
        """(N, C, h, w) -> (N, C, h, w)."""
        query, key, value = (part(x).flatten(2) for part in (self.query, self.key, self.value))
        attention = F.softmax(paddle.bmm(query.transpose([0, 2, 1]), key), axis=-1)
        seen = paddle.bmm(value, attention.transpose([0, 2, 1]))
        return self.gamma * seen.reshape(paddle.shape(x)) + x


class Channels(nn.Layer):
    """Every channel attends to every other."""

    def __init__(self) -> None:
        super().__init__()
        self.gamma = self.create_parameter([1], default_initializer=nn.initializer.Constant(0.5))

    def forward(self, x: Any) -> Any:
        """(N, C, h, w) -> (N, C, h, w)."""
        flat = x.flatten(2)
        energy = paddle.bmm(flat, flat.transpose([0, 2, 1]))
        attention = F.softmax(energy.max(axis=-1, keepdim=True) - energy, axis=-1)
        return self.gamma * paddle.bmm(attention, flat).reshape(paddle.shape(x)) + x


class DANet(nn.Layer):
    """DANet with ResNet-50."""

    def __init__(self, scale: Scale) -> None:
        super().__init__()
        self.backbone = ResNet50(scale)
        inputs, inner = self.backbone.high, self.backbone.high // 4
        self.positions = nn.Sequential(ConvBN(inputs, inner), Positions(inner), ConvBN(inner, inner))
        self.channels = nn.Sequential(ConvBN(inputs, inner), Channels(), ConvBN(inner, inner))
        self.classify = nn.Conv2D(inner, CLASSES, 1)

    def forward(self, x: Any) -> Any:
        """(N, 3, H, W) -> scores (N, CLASSES, H, W)."""
        features = self.backbone(x)[1]
        return resize_to(self.classify(self.positions(features) + self.channels(features)), x)


class Basic(nn.Layer):
    """Two convolutions and a shortcut."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(ConvBN(channels, channels), ConvBN(channels, channels, relu=False))

    def forward(self, x: Any) -> Any:
        """(N, channels, h, w) -> the same."""
        return F.relu(self.body(x) + x)


class Exchange(nn.Layer):
    """Branches of falling resolution, each followed by the sum of all, brought to its own."""

    def __init__(self, widths: list[int]) -> None:
        super().__init__()
        self.branches = nn.LayerList([nn.Sequential(*(Basic(width) for _ in range(4))) for width in widths])
        self.paths = nn.LayerList(
            [
                nn.LayerList([_path(widths, source, target) for source in range(len(widths))])
                for target in range(len(widths))
            ]
        )

    def forward(self, xs: list[Any]) -> list[Any]:
        """A list of features -> a list of the same shapes."""
        xs = [branch(xs[number]) for number, branch in enumerate(self.branches)]
        merged = []
        for target, paths in enumerate(self.paths):
            total = xs[target]
            for source, path in enumerate(paths):
                if source != target:
                    moved = path(xs[source])
                    total = total + (resize_to(moved, xs[target]) if source > target else moved)
            merged.append(F.relu(total))
        return merged


def _path(widths: list[int], source: int, target: int) -> Any:
    """From one branch to another."""
    if source >= target:
        return ConvBN(widths[source], widths[target], 1, relu=False)
    steps = range(target - source)
    return nn.Sequential(
        *(
            ConvBN(widths[source], widths[target if last else source], stride=2, relu=not last)
            for last in (step == len(steps) - 1 for step in steps)
        )
    )


class FCNHRNetW18(nn.Layer):
    """HRNet of width 18 with a fully convolutional head."""

    def __init__(self, scale: Scale) -> None:
        super().__init__()
        base, stem = max(scale(18), 4), scale(64)
        widths = [base * 2**number for number in range(4)]
        self.stem = nn.Sequential(ConvBN(3, stem, stride=2), ConvBN(stem, stem, stride=2))
        self.first = nn.Sequential(Bottleneck(stem, stem), *(Bottleneck(4 * stem, stem) for _ in range(3)))
        self.begin = ConvBN(4 * stem, widths[0])
        deeper = [4 * stem, widths[1], widths[2]]
        self.deeper = nn.LayerList(
            [ConvBN(inputs, outputs, stride=2) for inputs, outputs in zip(deeper, widths[1:], strict=True)]
        )
        self.stages = nn.LayerList(
            [
                nn.Sequential(*(Exchange(widths[:branches]) for _ in range(modules)))
                for branches, modules in ((2, 1), (3, 4), (4, 3))
            ]
        )
        total = sum(widths)
        self.head = nn.Sequential(ConvBN(total, total, 1), nn.Conv2D(total, CLASSES, 1))

    def forward(self, x: Any) -> Any:
        """(N, 3, H, W) -> scores (N, CLASSES, H, W)."""
        features = self.first(self.stem(x))
        xs = [self.begin(features)]
        for number, stage in enumerate(self.stages):
            xs = stage([*xs, self.deeper[number](features if number == 0 else xs[-1])])
        return resize_to(self.head(paddle.concat([xs[0], *(resize_to(other, xs[0]) for other in xs[1:])], axis=1)), x)


class Gather(nn.Layer):
    """Gather and expansion: a depthwise bottleneck turned inside out."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        wide = 6 * inputs
        middle = [ConvBN(inputs, wide, stride=2, groups=inputs, relu=False)] if stride > 1 else []
        self.body = nn.Sequential(
            ConvBN(inputs, inputs),
            *middle,
            ConvBN(wide if middle else inputs, wide, groups=wide if middle else inputs),
            ConvBN(wide, outputs, 1, relu=False),
        )
        self.shortcut = (
            nn.Sequential(
                ConvBN(inputs, inputs, stride=2, groups=inputs, relu=False), ConvBN(inputs, outputs, 1, relu=False)
            )
            if stride > 1
            else nn.Identity()
        )

    def forward(self, x: Any) -> Any:
        """(N, inputs, h, w) -> (N, outputs, h / stride, w / stride)."""
        return F.relu(self.body(x) + self.shortcut(x))


class BiSeNetV2(nn.Layer):
    """A detail branch, a semantic branch, and the bilateral guided aggregation of both."""

    def __init__(self, scale: Scale) -> None:
        super().__init__()
        wide, deep = scale(64), scale(128)
        self.detail = nn.Sequential(
            ConvBN(3, wide, stride=2), ConvBN(wide, wide),
            ConvBN(wide, wide, stride=2), ConvBN(wide, wide), ConvBN(wide, wide),
            ConvBN(wide, deep, stride=2), ConvBN(deep, deep), ConvBN(deep, deep),
        )  # fmt: skip
        thin = wide // 4
        self.stem = ConvBN(3, thin, stride=2)
        self.left = nn.Sequential(ConvBN(thin, max(thin // 2, 1), 1), ConvBN(max(thin // 2, 1), thin, stride=2))
        self.right = nn.MaxPool2D(3, 2, 1)
        self.join = ConvBN(2 * thin, thin)
        third, fourth = scale(32), scale(64)
        self.semantic = nn.Sequential(
            Gather(thin, third, 2), Gather(third, third, 1),
            Gather(third, fourth, 2), Gather(fourth, fourth, 1),
            Gather(fourth, deep, 2), *(Gather(deep, deep, 1) for _ in range(3)),
        )  # fmt: skip
        self.mean = nn.Sequential(nn.AdaptiveAvgPool2D(1), nn.BatchNorm2D(deep), ConvBN(deep, deep, 1))
        self.embed = ConvBN(deep, deep)
        self.detail_keep = nn.Sequential(ConvBN(deep, deep, groups=deep, relu=False), nn.Conv2D(deep, deep, 1))
        self.detail_down = nn.Sequential(ConvBN(deep, deep, stride=2, relu=False), nn.AvgPool2D(3, 2, 1))
        self.semantic_up = ConvBN(deep, deep, relu=False)
        self.semantic_keep = nn.Sequential(ConvBN(deep, deep, groups=deep, relu=False), nn.Conv2D(deep, deep, 1))
        self.merge = ConvBN(deep, deep, relu=False)
        self.head = nn.Sequential(ConvBN(deep, scale(1024)), nn.Conv2D(scale(1024), CLASSES, 1))

    def forward(self, x: Any) -> Any:
        """(N, 3, H, W) -> scores (N, CLASSES, H, W)."""
        detail = self.detail(x)
        stem = self.stem(x)
        semantic = self.semantic(self.join(paddle.concat([self.left(stem), self.right(stem)], axis=1)))
        semantic = self.embed(semantic + self.mean(semantic))
        fine = self.detail_keep(detail) * F.sigmoid(resize_to(self.semantic_up(semantic), detail))
        coarse = resize_to(self.detail_down(detail), semantic) * F.sigmoid(self.semantic_keep(semantic))
        return resize_to(self.head(self.merge(fine + resize_to(coarse, detail))), x)


class Tiny(nn.Layer):
    """Two convolutions: a folder of a few kilobytes."""

    def __init__(self, scale: Scale) -> None:  # noqa: ARG002
        super().__init__()
        self.body = nn.Sequential(ConvBN(3, 8, stride=4), nn.Conv2D(8, 4, 1))

    def forward(self, x: Any) -> Any:
        """(N, 3, H, W) -> scores (N, 4, H, W)."""
        return resize_to(self.body(x), x)


class Printing(Tiny):
    """Does more than compute: Segship refuses it."""

    def forward(self, x: Any) -> Any:
        """(N, 3, H, W) -> scores (N, 4, H, W)."""
        scores = super().forward(x)
        return scores if paddle.in_dynamic_mode() else paddle.static.Print(scores)


class Decided(nn.Layer):
    """A network followed by what PaddleSeg's export appends."""

    def __init__(self, network: Any, output_op: str) -> None:
        super().__init__()
        self.network, self.output_op = network, output_op

    def forward(self, x: Any) -> Any:
        """(N, 3, H, W) -> labels (N, H, W) or probabilities (N, CLASSES, H, W)."""
        scores = self.network(x)
        if self.output_op == "softmax":
            return F.softmax(scores, axis=1)
        return paddle.argmax(scores, axis=1, dtype="int32")


NETWORKS = {
    "bisenetv2": BiSeNetV2,
    "danet": DANet,
    "deeplabv3": DeepLabV3,
    "deeplabv3p": DeepLabV3P,
    "fcn-hrnetw18": FCNHRNetW18,
    "tiny": Tiny,
    "printing": Printing,
}


def _pictures(random: np.random.Generator) -> np.ndarray:
    """Large patches of random colours, each picture with a brightness of its own, and noise."""
    count, height, width = _WARMING
    patches = random.normal(size=(count, 3, height // 16, width // 16)).repeat(16, axis=2).repeat(16, axis=3)
    brightness, noise = random.normal(size=(count, 3, 1, 1)), random.normal(size=(count, 3, height, width))
    return (0.5 * patches + 0.5 * brightness + 0.1 * noise).astype(np.float32)


def build(name: str, width: float, seed: int = 0) -> Any:
    """A network in evaluation mode, its channels multiplied by ``width``."""
    paddle.seed(seed)
    network = NETWORKS[name](lambda channels: max(int(channels * width), 2))
    random = np.random.default_rng(seed)
    for norm in (layer for layer in network.sublayers() if isinstance(layer, nn.BatchNorm2D)):
        norm._momentum = 0.0
    network.train()
    with paddle.no_grad():
        network(paddle.to_tensor(_pictures(random)))
    network.eval()
    return network


def save(
    network: Any,
    folder: Path,
    *,
    output_op: str = "argmax",
    shape: tuple[int | None, ...] = (None, 3, None, None),
    legacy: bool = False,
    transforms: str = NORMALIZE,
) -> None:
    """Write an inference folder: the program, its parameters, and ``deploy.yaml``."""
    if output_op != "none":
        network = Decided(network, output_op)
        network.eval()
    spec = [paddle.static.InputSpec(list(shape), "float32", name="x")]
    folder.mkdir(parents=True, exist_ok=True)
    if legacy:
        with paddle.pir_utils.OldIrGuard():
            paddle.jit.save(paddle.jit.to_static(network, input_spec=spec, full_graph=True), str(folder / "model"))
    else:
        paddle.jit.save(paddle.jit.to_static(network, input_spec=spec, full_graph=True), str(folder / "model"))
    text = _YAML.format(
        shape=[-1 if side is None else side for side in shape],
        model="model.pdmodel",  # PaddleSeg writes this, whatever the file is called
        dtype="int32" if output_op == "argmax" else "float32",
        output_op=output_op,
        transforms=transforms,
    )
    (folder / "deploy.yaml").write_text(text, encoding="utf-8")


def main() -> None:
    """Write one network."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("name", choices=NETWORKS)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--width", type=float, default=1.0, help="factor of all channels")
    parser.add_argument("--output-op", choices=("argmax", "softmax", "none"), default="argmax")
    parser.add_argument("--size", type=int, nargs=2, metavar=("HEIGHT", "WIDTH"), help="fixed; default: free")
    parser.add_argument("--legacy", action="store_true", help="write model.pdmodel instead of model.json")
    arguments = parser.parse_args()
    shape = (1, 3, *arguments.size) if arguments.size else (None, 3, None, None)
    network = build(arguments.name, arguments.width)
    save(network, arguments.folder, output_op=arguments.output_op, shape=shape, legacy=arguments.legacy)


if __name__ == "__main__":
    main()
