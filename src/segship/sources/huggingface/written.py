"""Networks as transformers has them: its class with the same weights, and what its image processor is told.

Sources: transformers' own ``convert_convnext_upernet_to_pytorch.py`` and ``convert_swin_upernet_to_pytorch.py`` name
what MMSegmentation's keys are called there (Apache-2.0).
"""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING, Any

from segship.core.errors import UnsupportedError
from segship.core.spec import Resize, ResizeEdges
from segship.models.backbones.convnext import ConvNeXt
from segship.models.backbones.swin import SwinTransformer
from segship.models.heads.uper import UPerHead
from segship.models.segmentor import EncoderDecoder
from segship.reading.documents import read_mapping
from segship.reading.options import merge_options
from segship.sources.huggingface import recognises
from segship.sources.huggingface.folder import load_model, quiet
from segship.sources.huggingface.processor import load_processor

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from torch import Tensor, nn

    from segship.core.spec import ModelSpec
    from segship.sources import LoadRequest

__all__ = ["as_transformers", "is_theirs"]

_CONFIG = "config.json"
_LEVELS = 4
_RESAMPLE = 2  # Pillow's number of bilinear
_THEIRS = "networks of Hugging Face folders, and UPerNet on ConvNeXt or Swin, are"
_UNPROVIDED = (  # a task beside the image; processors of another kind
    "OneFormerForUniversalSegmentation",
    "Sapiens2ForSemanticSegmentation",
    "Tipsv2DptForSemanticSegmentation",
)

_UPER = ((r"\.bn\.", ".batch_norm."), (r"^decode_head\.conv_seg\.", "decode_head.classifier."))
_CONVNEXT = (
    (r"^backbone\.downsample_layers\.0\.0\.", "backbone.embeddings.patch_embeddings."),
    (r"^backbone\.downsample_layers\.0\.1\.", "backbone.embeddings.layernorm."),
    (r"^backbone\.downsample_layers\.(\d+)\.", r"backbone.encoder.stages.\1.downsampling_layer."),
    (r"^backbone\.stages\.(\d+)\.(\d+)\.", r"backbone.encoder.stages.\1.layers.\2."),
    (r"\.depthwise_conv\.", ".dwconv."),
    (r"(layers\.\d+)\.norm\.", r"\1.layernorm."),
    (r"\.pointwise_conv(\d)\.", r".pwconv\1."),
    (r"\.gamma$", ".layer_scale_parameter"),
)
_SWIN = (
    (r"^backbone\.patch_embed\.projection\.", "backbone.swin.embeddings.patch_embeddings.projection."),
    (r"^backbone\.patch_embed\.norm\.", "backbone.swin.embeddings.norm."),
    (r"^backbone\.stages\.", "backbone.swin.encoder.layers."),
    (r"\.norm1\.", ".layernorm_before."),
    (r"\.norm2\.", ".layernorm_after."),
    (r"\.attn\.w_msa\.relative_position_bias_table$", ".attention.relative_position_bias.relative_position_bias_table"),
    (r"\.attn\.w_msa\.proj\.", ".attention.o_proj."),
    (r"\.attn\.w_msa\.([qkv])\.", r".attention.\1_proj."),
    (r"\.ffn\.layers\.0\.0\.", ".mlp.fc1."),
    (r"\.ffn\.layers\.1\.", ".mlp.fc2."),
)


def is_theirs(path: Path) -> bool:
    """Return whether a source is a folder of transformers, whose processor is written as it is."""
    return recognises(path)


def as_transformers(request: LoadRequest, network: nn.Module, spec: ModelSpec) -> tuple[Any, dict[str, Any]]:
    """Return a network as an object of transformers, and the content of its ``preprocessor_config.json``.

    Args:
        request: Where the network was read.
        network: As it was read.
        spec: What it expects and means.

    Raises:
        UnsupportedError: transformers has no such network, or no way to prepare images as it wants them.
    """
    if is_theirs(request.path):
        return _of_folder(request, spec)
    _require_writable(spec)
    if not isinstance(network, EncoderDecoder):
        raise UnsupportedError(f"{spec.architecture} is no network of transformers: {_THEIRS}")
    return _upernet(network, spec), _processor(spec)


def _require_writable(spec: ModelSpec) -> None:
    """Refuse what an image processor of transformers cannot be told, or its networks do not do.

    Raises:
        UnsupportedError: There is such a thing.
    """
    spec.require_common("transformers")
    reasons = {
        "the network slides, and transformers shows it the whole image: --cfg-options model.test_cfg.mode=whole does "
        "so, too": spec.slide is not None,
        "the network takes bands as they are stored, and transformers photographs": spec.pixels != "uint8",
        "the network has one score with a threshold, and transformers takes the greatest": spec.output == "sigmoid",
        "the network's input is padded, and transformers' is not": spec.padding is not None,
        "align_corners is set, and transformers resizes without": spec.align_corners,
    }
    if found := next((reason for reason, holds in reasons.items() if holds), None):
        raise UnsupportedError(f"{found}: write a package, or another layout")


def _of_folder(request: LoadRequest, spec: ModelSpec) -> tuple[Any, dict[str, Any]]:
    """The same network and processor, with the weights, options and class names that were given."""
    if spec.slide is not None or spec.architecture in _UNPROVIDED:
        raise UnsupportedError(
            f"{spec.architecture}{' with a processor that cuts images up' if spec.slide is not None else ''} is not "
            "written back: what transformers makes of it cannot be verified by its processor alone"
        )
    folder = request.path if request.path.is_dir() else request.path.parent
    config = read_mapping(folder / _CONFIG)
    model = load_model(folder, spec.architecture, request.checkpoint, trust=request.trust)
    if len(model.config.id2label) == len(spec.classes):
        _name(model.config, spec)
    changes = merge_options({}, request.options or {}).get("processor") or {}
    found = load_processor(folder, config, changes, ignore_unknown=request.ignore_unknown)
    values: dict[str, Any] = found.processor.to_dict()
    kind = type(found.processor).__name__.removesuffix("Pil").removesuffix("Fast")
    return model, {**values, "image_processor_type": kind}


def _name(config: Any, spec: ModelSpec) -> None:
    config.id2label = dict(enumerate(spec.classes))
    config.label2id = {name: number for number, name in enumerate(spec.classes)}


def _processor(spec: ModelSpec) -> dict[str, Any]:
    """What ``SegformerImageProcessor`` is told, which is UPerNet's, too."""
    rule = spec.normalization
    told = {"image_processor_type": "SegformerImageProcessor", "do_resize": bool(spec.geometry)}
    told |= {"size": _size(spec), "resample": _RESAMPLE} if spec.geometry else {}
    return told | {
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": [value / 255 for value in _in_rgb(rule.mean, spec)],
        "image_std": [value / 255 for value in _in_rgb(rule.std, spec)],
        "do_reduce_labels": spec.reduce_zero_label,
    }


def _size(spec: ModelSpec) -> dict[str, int]:
    step = spec.geometry[0]
    if len(spec.geometry) == 1 and isinstance(step, Resize):
        if not step.keep_ratio:
            return {"height": step.height, "width": step.width}
        return {"shortest_edge": min(step.height, step.width), "longest_edge": max(step.height, step.width)}
    if len(spec.geometry) == 1 and isinstance(step, ResizeEdges) and step.multiple_of == 1 and step.long is not None:
        return {"shortest_edge": step.short, "longest_edge": step.long}
    raise UnsupportedError(
        f"transformers resizes images to one size, or by their edges, and this network's rule is to "
        f"{', then '.join(map(str, spec.geometry))}: write a package, or another layout"
    )


def _in_rgb(values: Iterable[float], spec: ModelSpec) -> list[float]:
    return list(values)[:: -1 if spec.normalization.channel_order == "bgr" else 1]


def _upernet(network: EncoderDecoder, spec: ModelSpec) -> Any:
    import transformers

    head: Any = network.decode_head
    pools: Any = getattr(head, "psp_modules", ())
    backbone: Any = network.backbone
    if not isinstance(head, UPerHead) or type(head) is not UPerHead or network.neck is not None:
        raise UnsupportedError(f"{spec.architecture} is no network of transformers: {_THEIRS}")
    config = transformers.UperNetConfig(
        backbone_config=_backbone(backbone, spec),
        hidden_size=head.bottleneck.conv.out_channels,
        pool_scales=[branch[0].output_size for branch in pools],
        use_auxiliary_head=False,
    )
    _name(config, spec)
    with quiet():
        model = transformers.UperNetForSemanticSegmentation(config).eval()
    state = _renamed(network.state_dict(), backbone)
    if spec.normalization.channel_order == "bgr":
        first = next(key for key, value in state.items() if "patch_embeddings" in key and value.ndim == _LEVELS)
        state[first] = state[first].flip(1)
    own = model.state_dict()
    spare = {key: value for key, value in own.items() if key.startswith("backbone.swin.layernorm.")}  # not run
    if strange := sorted({**spare, **state}.keys() ^ own.keys()):
        raise UnsupportedError(f"transformers' UPerNet has not the same parts: {', '.join(strange[:5])}")
    model.load_state_dict({**spare, **state})
    return model


def _backbone(backbone: Any, spec: ModelSpec) -> Any:
    kind = next((made for family, made in _BACKBONES if isinstance(backbone, family)), None)
    if kind is None:
        raise UnsupportedError(f"{spec.architecture} is no network of transformers: {_THEIRS}")
    if list(backbone.out_indices) != list(range(_LEVELS)):
        raise UnsupportedError(f"{spec.architecture}: transformers' UPerNet sees all four stages of its backbone")
    return kind(backbone, [f"stage{number + 1}" for number in range(_LEVELS)])


def _convnext(backbone: Any, levels: list[str]) -> Any:
    import transformers

    first, *steps = backbone.downsample_layers
    return transformers.ConvNextConfig(
        depths=[len(stage) for stage in backbone.stages],
        hidden_sizes=[first[0].out_channels, *(step[1].out_channels for step in steps)],
        out_features=levels,
    )


def _swin(backbone: Any, levels: list[str]) -> Any:
    import transformers

    stages = list(backbone.stages)
    first = stages[0].blocks[0]
    return transformers.SwinConfig(
        embed_dim=backbone.patch_embed.projection.out_channels,
        patch_size=backbone.patch_embed.projection.kernel_size[0],
        depths=[len(stage.blocks) for stage in stages],
        num_heads=[stage.blocks[0].attn.w_msa.relative_position_bias_table.shape[1] for stage in stages],
        window_size=stages[0].window,
        mlp_ratio=first.ffn.layers[1].in_features / first.ffn.layers[1].out_features,
        qkv_bias=first.attn.w_msa.qkv.bias is not None,
        out_features=levels,
    )


_BACKBONES = ((ConvNeXt, _convnext), (SwinTransformer, _swin))


def _renamed(state: Mapping[str, Tensor], backbone: nn.Module) -> dict[str, Tensor]:
    """Weights by the library's names."""
    kept = {key: value for key, value in state.items() if not key.startswith("auxiliary_head.")}
    swin = isinstance(backbone, SwinTransformer)
    found: dict[str, Tensor] = {}
    for key, value in itertools.chain.from_iterable(map(_split, *zip(*kept.items(), strict=True))):
        name = re.sub(
            r"^backbone\.norm(\d)\.", lambda hit: f"backbone.hidden_states_norms.stage{int(hit[1]) + 1}.", key
        )
        for pattern, put in (*_UPER, *(_SWIN if swin else _CONVNEXT)):
            name = re.sub(pattern, put, name)
        found[name] = value.flatten(1) if ".pwconv" in name and value.ndim > 1 else value
    return found


def _stage(hit: re.Match[str]) -> str:
    return f"backbone.hidden_states_norms.stage{int(hit[1]) + 1}."


def _split(key: str, value: Tensor) -> list[tuple[str, Tensor]]:
    """What Swin's weights are there: queries, keys and values apart, merged patches in another order."""
    if key.endswith(".relative_position_index"):
        return []
    if ".attn.w_msa.qkv." in key:
        return [(key.replace(".qkv.", f".{part}."), one) for part, one in zip("qkv", value.chunk(3), strict=True)]
    if ".downsample." in key and "backbone.stages" in key:
        # Four neighbours of each channel in a row there, all channels of each neighbour here, columns first.
        parts = value.reshape(*value.shape[:-1], -1, 4)[..., [0, 2, 1, 3]]
        return [(key, parts.transpose(-1, -2).reshape(value.shape))]
    return [(key, value)]
