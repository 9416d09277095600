"""Small random networks of transformers, one for each architecture, saved by the library itself."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from support import fill

CLASSES = {0: "road", 1: "wall", 2: "tree", 3: "sky", 4: "car"}
PYRAMID = ["stage1", "stage2", "stage3", "stage4"]


def _swin() -> Any:
    import transformers as T

    return T.SwinConfig(
        embed_dim=16, depths=[1, 1, 1, 1], num_heads=[1, 2, 2, 4], window_size=4, image_size=64, out_features=PYRAMID
    )


def _vit() -> dict[str, Any]:
    return {
        "image_size": 64, "patch_size": 16, "hidden_size": 16, "num_hidden_layers": 4, "num_attention_heads": 2,
        "intermediate_size": 32,
    }  # fmt: skip


def _segformer(**options: Any) -> Any:
    import transformers as T

    return T.SegformerForSemanticSegmentation(
        T.SegformerConfig(
            depths=[1, 1, 1, 1], hidden_sizes=[8, 16, 24, 32], num_attention_heads=[1, 2, 2, 4], decoder_hidden_size=16,
            **options,
        )
    )  # fmt: skip


def _upernet(backbone: Any, width: int, **options: Any) -> Any:
    import transformers as T

    return T.UperNetForSemanticSegmentation(
        T.UperNetConfig(backbone_config=backbone, hidden_size=16, auxiliary_in_channels=width, **options)
    )


def _convnext(**options: Any) -> Any:
    import transformers as T

    backbone = T.ConvNextConfig(hidden_sizes=[8, 16, 24, 32], depths=[1, 1, 1, 1], out_features=PYRAMID)
    return _upernet(backbone, 24, **options)


def _beit(**options: Any) -> Any:
    import transformers as T

    return T.BeitForSemanticSegmentation(
        T.BeitConfig(**_vit(), out_indices=[1, 2, 3, 4], use_relative_position_bias=True, **options)
    )


def _data2vec(**options: Any) -> Any:
    import transformers as T

    return T.Data2VecVisionForSemanticSegmentation(
        T.Data2VecVisionConfig(**_vit(), out_indices=[1, 2, 3, 4], use_relative_position_bias=True, **options)
    )


def _dpt(**options: Any) -> Any:
    import transformers as T

    return T.DPTForSemanticSegmentation(
        T.DPTConfig(
            **_vit(), backbone_out_indices=[0, 1, 2, 3], neck_hidden_sizes=[8, 8, 16, 16], fusion_hidden_size=16,
            is_hybrid=False, **options,
        )
    )  # fmt: skip


def _mobilevit(**options: Any) -> Any:
    import transformers as T

    return T.MobileViTForSemanticSegmentation(
        T.MobileViTConfig(
            image_size=64, hidden_sizes=[16, 24, 32], neck_hidden_sizes=[8, 8, 16, 24, 32, 40, 64],
            num_attention_heads=2, output_stride=16, aspp_out_channels=16, atrous_rates=[2, 4, 6], **options,
        )
    )  # fmt: skip


def _mobilevitv2(**options: Any) -> Any:
    import transformers as T

    return T.MobileViTV2ForSemanticSegmentation(
        T.MobileViTV2Config(
            image_size=64, width_multiplier=0.25, aspp_out_channels=16, n_attn_blocks=[1, 1, 1], **options
        )
    )


def _dinov2(**options: Any) -> Any:
    import transformers as T

    backbone = T.Dinov2Config(
        image_size=56, patch_size=14, hidden_size=16, num_hidden_layers=4, num_attention_heads=2, mlp_ratio=2,
        out_features=PYRAMID, reshape_hidden_states=True,
    )  # fmt: skip
    return _upernet(backbone, 16, **options)


def _registers(**options: Any) -> Any:
    import transformers as T

    backbone = T.Dinov2WithRegistersConfig(
        image_size=56, patch_size=14, hidden_size=16, num_hidden_layers=4, num_attention_heads=2, mlp_ratio=2,
        out_features=PYRAMID, reshape_hidden_states=True,
    )  # fmt: skip
    return _upernet(backbone, 16, **options)


def _dinov3(**options: Any) -> Any:
    import transformers as T

    backbone = T.DINOv3ViTConfig(
        image_size=64, patch_size=16, hidden_size=16, num_hidden_layers=4, num_attention_heads=2, intermediate_size=32,
        num_register_tokens=2, out_features=PYRAMID, reshape_hidden_states=True,
    )  # fmt: skip
    return _upernet(backbone, 16, **options)


def _swinv2(**options: Any) -> Any:
    import transformers as T

    backbone = T.Swinv2Config(
        embed_dim=16, depths=[1, 2, 1, 1], num_heads=[1, 2, 2, 4], window_size=4, image_size=64, out_features=PYRAMID
    )
    return _upernet(backbone, 64, **options)


def _focalnet(**options: Any) -> Any:
    import transformers as T

    backbone = T.FocalNetConfig(
        embed_dim=16, hidden_sizes=[32, 64, 128, 128], depths=[1, 1, 1, 1], focal_levels=[2, 2, 2, 2],
        focal_windows=[3, 3, 3, 3], image_size=64, out_features=PYRAMID,
    )  # fmt: skip
    return _upernet(backbone, 128, **options)


def _sapiens2(**options: Any) -> Any:
    import transformers as T

    return T.Sapiens2ForSemanticSegmentation(
        T.Sapiens2Config(
            image_size=[96, 64], patch_size=16, hidden_size=32, num_hidden_layers=3, num_attention_heads=4,
            num_first_full_attention_layers=1, num_last_full_attention_layers=1, num_key_value_attention_heads=2,
            intermediate_size=32, num_register_tokens=2,
            head_config={
                "upsample_out_channels": [16, 16], "upsample_kernel_sizes": [4, 4], "conv_out_channels": [16],
                "conv_kernel_sizes": [1],
            },
            **options,
        )
    )  # fmt: skip


def _tipsv2(**options: Any) -> Any:
    import transformers as T

    backbone = T.Tipsv2VisionConfig(
        image_size=56, patch_size=14, hidden_size=16, num_hidden_layers=4, num_attention_heads=2, mlp_ratio=2,
        num_register_tokens=1, out_features=PYRAMID, reshape_hidden_states=False, apply_layernorm=True,
    )  # fmt: skip
    return T.Tipsv2DptForSemanticSegmentation(
        T.Tipsv2DptConfig(
            backbone_config=backbone, neck_hidden_sizes=[8, 8, 16, 16], fusion_hidden_size=16,
            reassemble_factors=[4, 2, 1, 0.5], **options,
        )
    )  # fmt: skip


def _eomt(**options: Any) -> Any:
    import transformers as T

    return T.EomtForUniversalSegmentation(
        T.EomtConfig(
            image_size=64, patch_size=8, hidden_size=32, num_hidden_layers=4, num_attention_heads=2, mlp_ratio=2,
            num_blocks=2, num_upscale_blocks=1, num_queries=10, **options,
        )
    )  # fmt: skip


def _eomt_dinov3(**options: Any) -> Any:
    import transformers as T

    return T.EomtDinov3ForUniversalSegmentation(
        T.EomtDinov3Config(
            image_size=64, patch_size=16, hidden_size=32, num_hidden_layers=3, num_attention_heads=2,
            intermediate_size=64, num_blocks=1, num_upscale_blocks=2, num_queries=8, **options,
        )
    )  # fmt: skip


def _detr(**options: Any) -> Any:
    import transformers as T

    backbone = T.ResNetConfig(embedding_size=8, hidden_sizes=[8, 16, 24, 32], depths=[1, 1, 1, 1], out_features=PYRAMID)
    return T.DetrForSegmentation(
        T.DetrConfig(
            backbone_config=backbone, use_timm_backbone=False, d_model=64, encoder_layers=1, decoder_layers=2,
            encoder_ffn_dim=32, decoder_ffn_dim=32, encoder_attention_heads=8, decoder_attention_heads=8, num_queries=7,
            **options,
        )
    )  # fmt: skip


def _mobilenet(**options: Any) -> Any:
    import transformers as T

    return T.MobileNetV2ForSemanticSegmentation(
        T.MobileNetV2Config(image_size=64, depth_multiplier=0.35, output_stride=8, **options)
    )


def _maskformer(**options: Any) -> Any:
    import transformers as T

    decoder = T.DetrConfig(
        d_model=32, encoder_layers=1, decoder_layers=1, encoder_ffn_dim=32, decoder_ffn_dim=32,
        encoder_attention_heads=2, decoder_attention_heads=2, num_queries=7,
    )  # fmt: skip
    return T.MaskFormerForInstanceSegmentation(
        T.MaskFormerConfig(
            backbone_config=_swin(), decoder_config=decoder, mask_feature_size=32, fpn_feature_size=32, **options
        )
    )


def _queries() -> dict[str, Any]:
    return {
        "backbone_config": _swin(), "hidden_dim": 32, "encoder_feedforward_dim": 32, "dim_feedforward": 32,
        "encoder_layers": 1, "decoder_layers": 3, "num_attention_heads": 2, "num_queries": 7,
    }  # fmt: skip


def _mask2former(**options: Any) -> Any:
    import transformers as T

    return T.Mask2FormerForUniversalSegmentation(
        T.Mask2FormerConfig(**_queries(), feature_size=32, mask_feature_size=32, **options)
    )


def _oneformer(**options: Any) -> Any:
    import transformers as T

    return T.OneFormerForUniversalSegmentation(
        T.OneFormerConfig(
            **_queries(), mask_dim=32, conv_dim=32, query_dec_layers=1, text_encoder_width=32,
            text_encoder_vocab_size=80, **options,
        )
    )  # fmt: skip


class _ToldTask:
    """OneFormer's processor of images and words, which is told that the task is semantic."""

    def __init__(self, images: Any, folder: Path) -> None:
        import transformers as T

        letters = "abcdefghijklmnopqrstuvwxyz"
        words = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
        (folder / "vocab.json").write_text(json.dumps({word: number for number, word in enumerate(words)}))
        (folder / "merges.txt").write_text("#version: 0.2\n")
        tokenizer = T.CLIPTokenizer.from_pretrained(folder)
        self._images = images
        self._both = T.OneFormerProcessor(images, tokenizer)

    def __call__(self, **options: Any) -> Any:
        return self._both(task_inputs=["semantic"], **options)

    def post_process_semantic_segmentation(self, *arguments: Any, **options: Any) -> Any:
        return self._images.post_process_semantic_segmentation(*arguments, **options)


NETWORKS: dict[str, tuple[Callable[..., Any], str, dict[str, Any]]] = {
    "segformer": (_segformer, "SegformerImageProcessor", {"size": {"height": 64, "width": 96}}),
    "upernet-convnext": (_convnext, "SegformerImageProcessor", {"size": {"height": 64, "width": 96}}),
    "upernet-swin": (lambda **options: _upernet(_swin(), 64, **options), "SegformerImageProcessor", {}),
    "beit": (_beit, "BeitImageProcessor", {}),
    "data2vec": (_data2vec, "BeitImageProcessor", {}),
    "dpt": (_dpt, "DPTImageProcessor", {"ensure_multiple_of": 32}),
    "mobilevit": (_mobilevit, "MobileViTImageProcessor", {"size": {"shortest_edge": 64}, "do_center_crop": False}),
    "mobilenet": (_mobilenet, "MobileNetV2ImageProcessor", {"size": {"height": 65, "width": 65}}),
    "maskformer": (_maskformer, "MaskFormerImageProcessor", {"size": {"shortest_edge": 70, "longest_edge": 90}}),
    "mask2former": (_mask2former, "Mask2FormerImageProcessor", {"size": {"height": 64, "width": 96}}),
    "oneformer": (_oneformer, "OneFormerImageProcessor", {"size": {"height": 64, "width": 96}}),
    "mobilevitv2": (_mobilevitv2, "MobileViTImageProcessor", {"size": {"height": 64, "width": 96}}),
    "upernet-dinov2": (_dinov2, "SegformerImageProcessor", {"size": {"height": 70, "width": 98}}),
    "upernet-dinov2-registers": (_registers, "SegformerImageProcessor", {"size": {"height": 70, "width": 98}}),
    "upernet-dinov3": (_dinov3, "SegformerImageProcessor", {"size": {"height": 64, "width": 96}}),
    "upernet-swinv2": (_swinv2, "SegformerImageProcessor", {"size": {"height": 64, "width": 96}}),
    "upernet-focalnet": (_focalnet, "SegformerImageProcessor", {"size": {"height": 64, "width": 96}}),
    "detr": (_detr, "DetrImageProcessor", {"size": {"shortest_edge": 64, "longest_edge": 100}}),
    "eomt-pad": (_eomt, "EomtImageProcessor", {"size": {"shortest_edge": 64, "longest_edge": 64}, "do_pad": True}),
    "eomt-split": (_eomt, "EomtImageProcessor", {"size": {"shortest_edge": 64}, "do_split_image": True}),
    "eomt-dinov3": (_eomt_dinov3, "EomtImageProcessor", {"size": {"shortest_edge": 64}, "do_split_image": True}),
}
"""How each is made, its processor, and what that is told (a size of 64x64 where nothing is said)."""
TORCHVISION: dict[str, tuple[Callable[..., Any], str]] = {
    "sapiens2": (_sapiens2, "Sapiens2ImageProcessor"),
    "tipsv2": (_tipsv2, "Tipsv2DptImageProcessor"),
}
"""Those whose processor needs torchvision."""


def save(name: str, folder: Path) -> tuple[Any, Any]:
    """Save the network ``name`` with numbers made from its key names; returns it and its processor."""
    import transformers as T

    make, kind, options = NETWORKS[name] if name in NETWORKS else (*TORCHVISION[name], {})
    torch.manual_seed(0)
    model = make(num_labels=len(CLASSES), id2label=CLASSES, label2id={name: key for key, name in CLASSES.items()})
    fill.fill_network(model)
    if hasattr(model, "attn_mask_probs"):
        model.attn_mask_probs.fill_(1)
    options = {"size": {"height": 64, "width": 64}, "do_center_crop": False, **options}
    if name == "oneformer":
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "classes.json").write_text("{}")  # it would otherwise be fetched
        options |= {"repo_path": str(folder), "class_info_file": "classes.json"}
    if name in TORCHVISION:
        model.save_pretrained(folder)
        (folder / "preprocessor_config.json").write_text(json.dumps({"image_processor_type": kind, **options}))
        return model.eval(), None
    processor = getattr(T, f"{kind}Pil")(**options)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return model.eval(), _ToldTask(processor, folder) if name == "oneformer" else processor
