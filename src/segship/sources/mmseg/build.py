"""A network from the ``model`` of a config: parts by their upstream names, all mistakes told at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import nn

from segship.core.errors import ConfigError, SegshipError, UnsupportedError, did_you_mean
from segship.models.backbones.vit import VisionTransformer
from segship.models.heads.san import SideAdapterCLIPHead
from segship.models.initialise import FewRandomNumbers
from segship.models.multimodal import MultimodalEncoderDecoder
from segship.models.parts import build_part
from segship.models.registry import backbones, heads, necks, text_encoders
from segship.models.segmentor import EncoderDecoder
from segship.models.text_encoders.clip import CLIPTextEncoder
from segship.networks.bounds import TooLargeError, build_within_bounds

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from segship.core.registry import Registry
    from segship.networks.network import Network

__all__ = ["architecture", "build_network"]

_KINDS = ("EncoderDecoder", "CascadeEncoderDecoder")
_UNSUPPORTED = {
    "DepthEstimator": "it (VPD) estimates depth with a text-conditioned diffusion network, which is no part of its "
    "checkpoint",
    "SegTTAModel": "test-time augmentation is no network; give the config of the network itself",
}
_FROM_TEST_CFG = {"PointHead": ("subdivision_steps", "subdivision_num_points", "scale_factor")}
# Classes of torch that new-style configs name themselves, by the names under which mmcv registers them.
_REGISTERED = {
    "BatchNorm2d": "BN",
    "Hardswish": "HSwish",
    "GroupNorm": "GN",
    "InstanceNorm2d": "IN",
    "LayerNorm": "LN",
    "SyncBatchNorm": "SyncBN",
}
_CLASSES = ("mmcv.", "mmdet.", "mmengine.", "mmseg.", "torch.")
_MODEL_KEYS = frozenset({
    "_delete_",
    "_scope_",
    "auxiliary_head",
    "backbone",
    "data_preprocessor",
    "decode_head",
    "init_cfg",
    "neck",
    "num_stages",
    "pretrained",
    "test_cfg",
    "train_cfg",
    "type",
})  # fmt: skip

_MULTIMODAL_KEYS = (_MODEL_KEYS - {"auxiliary_head", "backbone", "neck", "num_stages"}) | {
    *("asymetric_input", "encoder_resolution", "image_encoder", "text_encoder"),
}
_LARGEST_FACTOR = 16


def build_network(
    model: Any, *, with_auxiliary: bool = False, check: Callable[[Network], object] = lambda _: None
) -> Network:
    """Build the network that ``model`` of a config describes, with random weights, in evaluation mode.

    Args:
        model: The config's ``model``.
        with_auxiliary: Build the heads that only training uses, too.
        check: Called with the network before it has memory for its weights, to refuse it by raising.

    Raises:
        ConfigError: The config has mistakes; all that can be found are named.
        UnsupportedError: It is right, but asks for a part that is not provided, or for more than any real network has.
    """
    if not isinstance(model, dict):
        raise ConfigError("the config has no model: expected model = dict(type='EncoderDecoder', …)")
    model = _registered(model)

    def build() -> Network:
        if _name(model) == "MultimodalEncoderDecoder":
            return _multimodal(model)
        return _encoder_decoder(model, with_auxiliary=with_auxiliary)

    with FewRandomNumbers():
        return build_within_bounds(build, check)


def _registered(cfg: Any) -> Any:
    """``cfg`` with types by the names they are registered under: ``torch.nn.SyncBatchNorm`` -> ``SyncBN``."""
    if isinstance(cfg, dict):
        named = {key: _registered(value) for key, value in cfg.items()}
        if isinstance(kind := named.get("type"), str) and kind.startswith(_CLASSES):
            name = kind.rpartition(".")[2]
            named["type"] = _REGISTERED.get(name, name)
        return named
    return type(cfg)(map(_registered, cfg)) if isinstance(cfg, (list, tuple)) else cfg


def _encoder_decoder(model: dict[str, Any], *, with_auxiliary: bool) -> EncoderDecoder:
    _check_kind(model)
    builder = _Builder()
    backbone = builder.part(backbones, model.get("backbone"), "model.backbone")
    decode_head = builder.parts(heads, _with_test_cfg(model), "model.decode_head")
    neck = builder.part(necks, model["neck"], "model.neck") if model.get("neck") else None
    auxiliary = None
    if with_auxiliary and model.get("auxiliary_head"):
        auxiliary = builder.parts(heads, model["auxiliary_head"], "model.auxiliary_head")
    builder.raise_problems()
    network = EncoderDecoder(backbone, decode_head, neck, auxiliary)
    return network.requires_grad_(requires_grad=False).eval()


def _multimodal(model: dict[str, Any]) -> MultimodalEncoderDecoder:
    """SAN: without the classifier, which follows from its weights and the names of the classes."""
    _require_known(model, _MULTIMODAL_KEYS)
    builder = _Builder()
    image_encoder = builder.part(backbones, model.get("image_encoder"), "model.image_encoder")
    text_encoder = builder.part(text_encoders, model.get("text_encoder"), "model.text_encoder")
    decode_head = builder.part(heads, model.get("decode_head"), "model.decode_head")
    builder.raise_problems()
    if not (
        isinstance(image_encoder, VisionTransformer)
        and isinstance(text_encoder, CLIPTextEncoder)
        and isinstance(decode_head, SideAdapterCLIPHead)
    ):
        raise UnsupportedError(
            "MultimodalEncoderDecoder is provided with VisionTransformer, CLIPTextEncoder and SideAdapterCLIPHead"
        )
    factor = model.get("encoder_resolution")
    if factor is not None and not (isinstance(factor, (int, float)) and 0 < factor <= _LARGEST_FACTOR):
        raise ConfigError(
            f"model.encoder_resolution is {factor!r:.40}, expected the factor of the image that CLIP sees"
        )
    asymmetric = bool(model.get("asymetric_input", True))
    network = MultimodalEncoderDecoder(
        image_encoder, text_encoder, decode_head, asymetric_input=asymmetric, encoder_resolution=factor
    )
    return network.requires_grad_(requires_grad=False).eval()


def architecture(model: Mapping[str, Any]) -> str:
    """Return what ``model`` of a config describes, for people: ``"EncoderDecoder(ResNetV1c, PSPHead)"``."""
    parts = [model.get(key) for key in ("backbone", "image_encoder", "neck", "decode_head")]
    names = [_name(part) for group in parts for part in _as_list(group) if isinstance(part, dict)]
    return f"{_name(model)}({', '.join(names)})"


def _with_test_cfg(model: dict[str, Any]) -> Any:
    """The ``decode_head`` of ``model``; a head's settings that stand in ``test_cfg`` among its options."""
    decode_head, test_cfg = model.get("decode_head"), model.get("test_cfg")
    if not isinstance(decode_head, (list, tuple)) or not isinstance(test_cfg, dict):
        return decode_head
    heads_with: list[Any] = []
    for head in decode_head:
        moved = _FROM_TEST_CFG.get(_name(head), ()) if isinstance(head, dict) else ()
        heads_with.append({**{key: test_cfg[key] for key in moved if key in test_cfg}, **head} if moved else head)
    return heads_with


def _check_kind(model: dict[str, Any]) -> None:
    kind = _name(model)
    if kind in _UNSUPPORTED:
        raise UnsupportedError(f"a model of type {kind} cannot be exported: {_UNSUPPORTED[kind]}")
    if kind not in _KINDS:
        raise UnsupportedError(
            f"no model is of type {kind!r}, known are {', '.join(_KINDS)}.{did_you_mean(kind, _KINDS)}"
        )
    decode_head = model.get("decode_head")
    several = isinstance(decode_head, (list, tuple))
    if several != (kind == "CascadeEncoderDecoder") or (several and not decode_head):
        takes = "a list of decode_heads" if kind == "CascadeEncoderDecoder" else "one decode_head, not a list"
        raise ConfigError(f"{kind} takes {takes}")
    _require_known(model, _MODEL_KEYS)


def _require_known(model: dict[str, Any], known: frozenset[str]) -> None:
    unknown = [key for key in model if key not in known]
    if unknown:
        wrong = [f"{_name(model)} has no option {key!r}.{did_you_mean(str(key), known)}" for key in unknown]
        raise ConfigError(f"model: {' '.join(wrong)}")


class _Builder:
    """Builds parts and gathers what is wrong with them."""

    def __init__(self) -> None:
        self._problems: list[SegshipError] = []

    def parts(self, registry: Registry[type[nn.Module]], cfgs: Any, where: str) -> nn.Module | list[nn.Module]:
        """Build one part, or one for each item of a list."""
        if not isinstance(cfgs, (list, tuple)):
            return self.part(registry, cfgs, where)
        return [self.part(registry, cfg, f"{where}.{index}") for index, cfg in enumerate(cfgs)]

    def part(self, registry: Registry[type[nn.Module]], cfg: Any, where: str) -> nn.Module:
        """Build the part that ``cfg`` describes; something that must not be used when there are problems."""
        try:
            return build_part(registry, cfg)
        except TooLargeError:
            raise
        except SegshipError as problem:
            self._problems.append(type(problem)(f"{where}: {problem}"))
        return nn.Identity()

    def raise_problems(self) -> None:
        """Raise what was found, if anything; `UnsupportedError` when nothing else is wrong."""
        if not self._problems:
            return
        only_unsupported = all(isinstance(problem, UnsupportedError) for problem in self._problems)
        kind = UnsupportedError if only_unsupported else ConfigError
        texts = map(str, self._problems)
        raise kind(" ".join(text if text.endswith((".", "?")) else f"{text}." for text in texts))


def _name(cfg: Mapping[str, Any]) -> str:
    """The type without the name of the package it comes from: ``mmpretrain.PoolFormer`` -> ``PoolFormer``."""
    return str(cfg.get("type")).rpartition(".")[2]


def _as_list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple)) else [value]
