"""Small networks of nnU-Net and MONAI: what their recorded references and their tests are made of."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import torch

from support import fill

if TYPE_CHECKING:
    from pathlib import Path

PLANS = ("plain", "residual")
STEPS = (0.3, 0.7)
"""Shares of the patch of 64x48 that are no whole pixels: nnU-Net's ``tile_step_size``."""
BUNDLES = ("gaussian", "constant", "binary")
DATASET = {
    "channel_names": {"0": "R", "1": "G", "2": "B"},
    "labels": {"background": 0, "road": 1, "tree": 2, "car": 3},
    "numTraining": 1,
    "file_ending": ".png",
}
_OPERATORS = "dynamic_network_architectures.architectures.unet."
_SCHEMES = {
    "plain": ["ZScoreNormalization"] * 3,
    "residual": ["CTNormalization", "RescaleTo01Normalization", "RGBTo01Normalization"],
}


def once(state: dict[str, Any]) -> dict[str, tuple[str, list[int]]]:
    """One name and the shape of each weight by all its names: those that a checkpoint holds twice are one tensor."""
    names: dict[int, list[str]] = {}
    for key, value in state.items():
        names.setdefault(id(value), []).append(key)
    return {key: (min(names[id(value)]), list(value.shape)) for key, value in state.items()}


def weights(state: dict[str, tuple[str, list[int]]], prefix: str) -> dict[str, Any]:
    """A state dict by all its names."""
    return {key: torch.from_numpy(fill.fill(prefix + name, tuple(shape))) for key, (name, shape) in state.items()}


def plans(name: str) -> dict[str, Any]:
    """``plans.json`` of a small network, by the names of nnU-Net 2."""
    residual = name == "residual"
    arguments: dict[str, Any] = {
        "n_stages": 3,
        "features_per_stage": [4, 6, 8],
        "conv_op": "torch.nn.modules.conv.Conv2d",
        "kernel_sizes": [[3, 3]] * 3,
        "strides": [[1, 1], [2, 2], [2, 1]],
        "n_blocks_per_stage" if residual else "n_conv_per_stage": [1, 2, 1],
        "n_conv_per_stage_decoder": [1, 1],
        "conv_bias": True,
        "norm_op": "torch.nn.modules.instancenorm.InstanceNorm2d",
        "norm_op_kwargs": {"eps": 1e-05, "affine": True},
        "dropout_op": None,
        "dropout_op_kwargs": None,
        "nonlin": "torch.nn.LeakyReLU",
        "nonlin_kwargs": {"inplace": True},
    }
    resampling = {
        f"resampling_fn_{what}{more}": {"is_seg": what == "seg", "order": 1, "order_z": 0, "force_separate_z": None}
        if more
        else "resample_data_or_seg_to_shape"
        for what in ("data", "seg", "probabilities")
        for more in ("", "_kwargs")
    }
    configuration = resampling | {
        "data_identifier": "nnUNetPlans_2d",
        "preprocessor_name": "DefaultPreprocessor",
        "batch_size": 2,
        "patch_size": [64, 48],
        "spacing": [1.0, 1.0],
        "normalization_schemes": _SCHEMES[name],
        "use_mask_for_norm": [False] * 3,
        "architecture": {
            "network_class_name": _OPERATORS + ("ResidualEncoderUNet" if residual else "PlainConvUNet"),
            "arch_kwargs": arguments,
            "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
        },
        "batch_dice": True,
    }
    kept = {"max": 255.0, "mean": 90.5, "median": 70.0, "min": 1.0, "percentile_00_5": 53.0, "percentile_99_5": 210.0}
    return {
        "dataset_name": "Dataset501_Street",
        "plans_name": "nnUNetPlans",
        "image_reader_writer": "NaturalImage2DIO",
        "transpose_forward": [0, 1, 2],
        "transpose_backward": [0, 1, 2],
        "configurations": {"2d": configuration},
        "experiment_planner_used": "ExperimentPlanner",
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": {str(place): kept | {"std": 49.25} for place in range(3)},
    }


def bundle(name: str) -> dict[str, Any]:
    """``inference.json`` of a small network, by the names of MONAI's bundles."""
    binary = name == "binary"
    scales: dict[str, dict[str, Any]] = {
        "gaussian": {"_target_": "ScaleIntensityd", "keys": "image"},
        "constant": {"_target_": "NormalizeIntensityd", "keys": "image", "channel_wise": True},
        "binary": {
            "_target_": "ScaleIntensityRanged", "keys": "image", "a_min": 20.0, "a_max": 200.0, "b_min": -1.0,
            "b_max": 1.0, "clip": True,
        },
    }  # fmt: skip
    network: dict[str, Any] = {
        "_target_": "UNet",
        "spatial_dims": 2,
        "in_channels": 3,
        "out_channels": 1 if binary else 4,
        "channels": [4, 6, 8],
        "strides": [2, 2],
        "num_res_units": 0 if name == "constant" else 2,
    }
    if name == "constant":
        network |= {"norm": ["group", {"num_groups": 2}], "act": ["leakyrelu", {"negative_slope": 0.2}]}
    inferer: dict[str, Any] = {"_target_": "SlidingWindowInferer", "roi_size": [48, 64], "sw_batch_size": 2}
    inferer |= {"gaussian": {"mode": "gaussian", "overlap": 0.5}, "constant": {"overlap": 0.25}, "binary": {}}[name]
    decided = [
        {"_target_": "Activationsd", "keys": "pred", "sigmoid" if binary else "softmax": True},
        {"_target_": "AsDiscreted", "keys": "pred"} | ({"threshold": 0.6} if binary else {"argmax": True}),
    ]
    begin = [{"_target_": kind, "keys": "image"} for kind in ("LoadImaged", "EnsureChannelFirstd")]
    return {
        "imports": ["$import glob", "$import os"],
        "bundle_root": ".",
        "device": "$torch.device('cpu')",
        "ckpt_path": "$@bundle_root + '/models/model.pt'",
        "network_def": network,
        "network": "$@network_def.to(@device)",
        "preprocessing": {"_target_": "Compose", "transforms": [*begin, scales[name]]},
        "inferer": inferer,
        "postprocessing": {"_target_": "Compose", "transforms": decided},
    }


LIBRARY: dict[str, dict[str, Any]] = {
    "AHNet": {"layers": [1, 1, 1, 1], "psp_block_num": 1},
    "AttentionUnet": {"channels": [4, 8], "strides": [2]},
    # With its usual instance norm a flat window is rounding noise by itself: 89 % of MONAI's labels are float64's.
    "BasicUNet": {"features": [8, 8, 16, 16, 32, 8], "norm": "batch"},
    "BasicUNetPlusPlus": {"features": [8, 8, 16, 16, 32, 8], "norm": "batch"},
    "DynUNet": {"kernel_size": [3] * 3, "strides": [1, 2, 2], "upsample_kernel_size": [2, 2], "filters": [8, 16, 16]},
    "FlexibleUNet": {"backbone": "resnet10", "decoder_channels": [32, 16, 16, 8, 8]},
    "HighResNet": {},
    "MedNeXt": {"init_filters": 8},
    "MedNeXtS": {},
    "SegResNet": {"blocks_down": [1, 1], "blocks_up": [1]},
    "SegResNetDS": {"init_filters": 8, "blocks_down": [1, 1, 1]},
    "SwinUNETR": {"feature_size": 12, "depths": [2, 2, 1, 1], "num_heads": [2, 2, 2, 2]},
    "UNETR": {"img_size": [64, 64], "feature_size": 4, "hidden_size": 16, "mlp_dim": 16, "num_heads": 2},
    "VNet": {"in_channels": 1},
}
"""Small networks of MONAI's own, two-dimensional ones; of three channels and four classes where nothing is said."""


def library_bundle(name: str, folder: Path, window: list[int]) -> tuple[Any, int]:
    """Let MONAI make one of `LIBRARY` and write it to a bundle; returns the network and its channels."""
    from monai.networks import nets

    arguments = {"spatial_dims": 2, "in_channels": 3, "out_channels": 4} | LIBRARY[name]
    values = bundle("gaussian")
    values["network_def"] = {"_target_": name} | arguments
    values["inferer"] = {"_target_": "SlidingWindowInferer", "roi_size": window, "mode": "gaussian"}
    (folder / "configs").mkdir(parents=True)
    (folder / "models").mkdir()
    (folder / "configs" / "inference.json").write_text(json.dumps(values))
    torch.manual_seed(0)
    network = getattr(nets, name)(**arguments).eval()
    for part in network.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            part.running_mean.normal_(0, 0.2)
            part.running_var.uniform_(0.5, 2)
    torch.save(network.state_dict(), folder / "models" / "model.pt")
    return network, arguments["in_channels"]
