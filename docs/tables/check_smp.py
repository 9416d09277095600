"""Read every architecture of segmentation_models_pytorch with one encoder of each family, and compare with the library.

The library makes each network with drawn weights and saves it; Segship reads the folder. Both get one input, of a size
the network takes. Needs ``pip install -e ".[smp]"``; an architecture takes some minutes for all encoders::

    python docs/tables/check_smp.py [ARCHITECTURE ...] [--encoders NAME,NAME] [--only-differences]
    python docs/tables/check_smp.py [ARCHITECTURE ...] --options

The second takes one small encoder with options of each architecture. The status is 1 where a pair differs. A pair that
the library itself does not make or run is told and no difference.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import segmentation_models_pytorch
import torch

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))
from segship.core.errors import SegshipError
from segship.sources import load
from segship.sources.smp.network import ARCHITECTURES
from support.fill import fill

ENCODERS = (
    "densenet121",
    "dpn68",
    "inceptionresnetv2",
    "inceptionv4",
    "resnet18",
    "se_resnet50",
    "xception",
    "efficientnet-b0",
    "mit_b0",
    "mobileone_s0",
    "mobilenet_v2",
    "vgg11",
    "timm-efficientnet-b0",
    "timm-gernet_s",
    "timm-mobilenetv3_small_100",
    "timm-regnetx_002",
    "timm-res2net50_26w_4s",
    "timm-resnest14d",
    "timm-skresnet18",
    "tu-convnext_atto",
    "tu-hrnet_w18_small",
    "tu-lcnet_050",
    "tu-darknet53",
    "tu-resnet18",
    "tu-swin_tiny_patch4_window7_224",
    "tu-test_vit",
)
"""One encoder of each family of the library, and of the kinds of networks that timm has."""

_UNETS: tuple[dict[str, Any], ...] = (
    {"decoder_attention_type": "scse"},
    {"decoder_interpolation": "bilinear"},
    {"decoder_use_norm": False},
    {"decoder_use_norm": "instancenorm"},
    {"decoder_use_norm": {"type": "instancenorm", "affine": True}},
    {"encoder_depth": 3, "decoder_channels": [32, 16, 8]},
    {"encoder_depth": 4, "decoder_channels": [64, 32, 16, 8], "in_channels": 5},
)
OPTIONS: dict[str, tuple[dict[str, Any], ...]] = {
    "Unet": (
        *_UNETS,
        {"decoder_use_norm": "layernorm"},
        {"in_channels": 1, "classes": 1, "activation": "sigmoid"},
        {"activation": "softmax2d"},
        {"activation": "softmax"},
        {"activation": "tanh"},
        {"activation": "logsoftmax"},
        {"aux_params": {"classes": 3, "pooling": "avg", "dropout": 0.2}},
    ),
    "UnetPlusPlus": _UNETS,
    "MAnet": (*(one for one in _UNETS if "decoder_attention_type" not in one), {"decoder_pab_channels": 16}),
    "Linknet": ({"encoder_depth": 4}, {"encoder_depth": 3}, {"decoder_use_norm": False}, {"in_channels": 4}),
    "FPN": (
        {"decoder_merge_policy": "cat"},
        {"decoder_pyramid_channels": 64, "decoder_segmentation_channels": 32},
        {"decoder_interpolation": "bilinear"},
        {"encoder_depth": 4},
        {"upsampling": 2},
        {"upsampling": 1},
    ),
    "PSPNet": (
        {"encoder_depth": 2},
        {"encoder_depth": 4, "upsampling": 16},
        {"psp_out_channels": 64},
        {"decoder_use_norm": False},
        {"upsampling": 4},
    ),
    "DeepLabV3": (
        {"encoder_output_stride": 16},
        {"decoder_atrous_rates": [6, 12, 18]},
        {"decoder_aspp_separable": True},
        {"upsampling": 4},
        {"encoder_depth": 4},
        {"decoder_channels": 64},
    ),
    "DeepLabV3Plus": (
        {"encoder_output_stride": 8},
        {"encoder_depth": 4},
        {"upsampling": 2},
        {"decoder_channels": 64, "activation": "sigmoid", "classes": 1},
        {"aux_params": {"classes": 2}},
    ),
    "PAN": (
        {"encoder_output_stride": 32},
        {"decoder_interpolation": "nearest"},
        {"upsampling": 2},
        {"encoder_depth": 4},
    ),
    "UPerNet": ({"decoder_channels": 64}, {"encoder_depth": 4}, {"upsampling": 1}, {"decoder_use_norm": False}),
    "Segformer": ({"decoder_segmentation_channels": 64}, {"encoder_depth": 4}, {"upsampling": 1}, {"upsampling": 2}),
    "DPT": (
        {"decoder_readout": "ignore"},
        {"decoder_readout": "add"},
        {"encoder_depth": 3},
        {"encoder_output_indices": [0, 2, 4, 5]},
        {"decoder_intermediate_channels": [32, 32, 64, 64], "decoder_fusion_channels": 32},
        {"dynamic_img_size": True},
    ),
}
"""Options of each architecture, as users set them."""

_ENOUGH = 0.9999  # of the labels


class Pair(NamedTuple):
    """An architecture with an encoder.

    Attributes:
        equal: Whether the library's labels came of it, or nothing did in the library, either.
        text: What came of it.
    """

    equal: bool
    text: str


def compare(architecture: str, encoder: str, options: dict[str, Any]) -> Pair:
    """Make, save, read and run one pair."""
    arguments = {"classes": 4} | options
    try:
        torch.manual_seed(0)
        network: Any = getattr(segmentation_models_pytorch, architecture)(encoder, encoder_weights=None, **arguments)
    except Exception as error:  # noqa: BLE001  (whatever the library raises, it has no such pair)
        return Pair(equal=True, text=f"the library does not make it ({_line(error)})")
    state = network.eval().state_dict()
    drawn = {
        key: torch.from_numpy(fill(key, tuple(value.shape)))
        for key, value in state.items()
        if value.is_floating_point()
    }
    network.load_state_dict(state | drawn)
    with tempfile.TemporaryDirectory() as folder:
        network.save_pretrained(folder)
        try:
            read = load(Path(folder), normalize="unit").network
        except SegshipError as error:
            return Pair(_refuses(network), f"is not read ({_line(error)})")
    channels = arguments.get("in_channels", 3)
    height, width = read.sizes.fixed or read.sizes.nearest(150, 170)
    image = torch.from_numpy(np.random.default_rng(0).normal(size=(1, channels, height, width)).astype(np.float32))
    with torch.inference_mode():
        expected, found = network(image), read.logits(image)  # as the graph returns them, at a size of its own
        expected = expected[0] if isinstance(expected, tuple) else expected
        if found.shape != expected.shape:  # the last resize is the package's, where the whole size is the library's
            found = torch.nn.functional.interpolate(
                found, expected.shape[2:], mode="bilinear", align_corners=read.align_corners
            )
    difference = float((found - expected).abs().max() / expected.abs().max())
    labels = float((_labels(found, arguments) == _labels(expected, arguments)).float().mean())
    return Pair(labels >= _ENOUGH, f"{height}x{width}, {difference:.1e} of the greatest logit, {labels:.4%} of labels")


def _labels(output: torch.Tensor, arguments: dict[str, Any]) -> torch.Tensor:
    if output.shape[1] > 1:
        return output.argmax(1)
    return output > (0.5 if arguments.get("activation") else 0.0)


def _refuses(network: Any) -> bool:
    """Whether the library itself does not run what it made."""
    try:
        with torch.inference_mode():
            network(torch.zeros(1, 3, 224, 224))
    except Exception:  # noqa: BLE001
        return True
    return False


def _line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:160]


def main() -> None:
    """Print a line for each pair."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("architectures", nargs="*", help=", ".join(sorted(ARCHITECTURES)))
    parser.add_argument("--encoders", default=",".join(ENCODERS), help="names, with commas between them")
    parser.add_argument("--only-differences", action="store_true", help="print pairs that differ, and no others")
    parser.add_argument("--options", action="store_true", help="one encoder with each of the options of users")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    tried = differ = 0
    for architecture in options.architectures or sorted(ARCHITECTURES):
        pairs: list[tuple[str, dict[str, Any]]] = [(encoder, {}) for encoder in options.encoders.split(",")]
        if options.options:
            pairs = [("tu-test_vit" if architecture == "DPT" else "resnet18", one) for one in OPTIONS[architecture]]
        for encoder, given in pairs:
            pair = compare(architecture, encoder, given)
            tried, differ = tried + 1, differ + (not pair.equal)
            if not (options.only_differences and pair.equal):
                name = f"{architecture} {encoder}{f' {given}' if given else ''}"
                print(f"{'equal  ' if pair.equal else 'DIFFERS'} {name}: {pair.text}", flush=True)
    print(f"{tried} pairs, {differ} differ")
    sys.exit(differ > 0)


if __name__ == "__main__":
    main()
