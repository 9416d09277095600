"""The families of networks: a title, where each was published, and the config that stands for it in the table.

Folder names are those of MMSegmentation's configs.
"""

from __future__ import annotations

__all__ = ["DAMPING", "FAMILIES"]

FAMILIES: dict[str, tuple[str, str, str]] = {
    "ann": ("ANN", "arXiv:1908.07678", "ann_r50-d8_4xb2-40k_cityscapes-512x1024"),
    "apcnet": ("APCNet", "CVPR 2019", "apcnet_r50-d8_4xb2-40k_cityscapes-512x1024"),
    "beit": ("BEiT", "arXiv:2106.08254", "beit-base_upernet_8xb2-160k_ade20k-640x640"),
    "bisenetv1": ("BiSeNetV1", "arXiv:1808.00897", "bisenetv1_r18-d32_4xb4-160k_cityscapes-1024x1024"),
    "bisenetv2": ("BiSeNetV2", "arXiv:2004.02147", "bisenetv2_fcn_4xb4-160k_cityscapes-1024x1024"),
    "ccnet": ("CCNet", "arXiv:1811.11721", "ccnet_r50-d8_4xb2-40k_cityscapes-512x1024"),
    "cgnet": ("CGNet", "arXiv:1811.08201", "cgnet_fcn_4xb8-60k_cityscapes-512x1024"),
    "convnext": ("ConvNeXt", "arXiv:2201.03545", "convnext-tiny_upernet_8xb2-amp-160k_ade20k-512x512"),
    "danet": ("DANet", "arXiv:1809.02983", "danet_r50-d8_4xb2-40k_cityscapes-512x1024"),
    "ddrnet": ("DDRNet", "arXiv:2101.06085", "ddrnet_23-slim_in1k-pre_2xb6-120k_cityscapes-1024x1024"),
    "deeplabv3": ("DeepLabV3", "arXiv:1706.05587", "deeplabv3_r50-d8_4xb2-40k_cityscapes-512x1024"),
    "deeplabv3plus": ("DeepLabV3+", "arXiv:1802.02611", "deeplabv3plus_r50-d8_4xb2-40k_cityscapes-512x1024"),
    "dmnet": ("DMNet", "ICCV 2019", "dmnet_r50-d8_4xb2-40k_cityscapes-512x1024"),
    "dnlnet": ("DNLNet", "arXiv:2006.06668", "dnl_r50-d8_4xb2-40k_cityscapes-512x1024"),
    "dpt": ("DPT", "arXiv:2103.13413", "dpt_vit-b16_8xb2-160k_ade20k-512x512"),
    "emanet": ("EMANet", "arXiv:1907.13426", "emanet_r50-d8_4xb2-80k_cityscapes-512x1024"),
    "encnet": ("EncNet", "arXiv:1803.08904", "encnet_r50-d8_4xb2-40k_cityscapes-512x1024"),
    "erfnet": ("ERFNet", "IEEE T-ITS 2017", "erfnet_fcn_4xb4-160k_cityscapes-512x1024"),
    "fastfcn": ("FastFCN (JPU)", "arXiv:1903.11816", "fastfcn_r50-d32_jpu_psp_4xb2-80k_cityscapes-512x1024"),
    "fastscnn": ("Fast-SCNN", "arXiv:1902.04502", "fast_scnn_8xb4-160k_cityscapes-512x1024"),
    "fcn": ("FCN", "arXiv:1411.4038", "fcn_r50-d8_4xb2-40k_cityscapes-512x1024"),
    "gcnet": ("GCNet", "arXiv:1904.11492", "gcnet_r50-d8_4xb2-40k_cityscapes-512x1024"),
    "hrnet": ("HRNet", "arXiv:1908.07919", "fcn_hr18_4xb2-40k_cityscapes-512x1024"),
    "icnet": ("ICNet", "arXiv:1704.08545", "icnet_r18-d8_4xb2-80k_cityscapes-832x832"),
    "isanet": ("ISANet", "arXiv:1907.12273", "isanet_r50-d8_4xb2-40k_cityscapes-512x1024"),
    "knet": ("K-Net", "arXiv:2106.14855", "knet-s3_r50-d8_fcn_8xb2-adamw-80k_ade20k-512x512"),
    "mae": ("MAE", "arXiv:2111.06377", "mae-base_upernet_8xb2-amp-160k_ade20k-512x512"),
    "mask2former": ("Mask2Former", "arXiv:2112.01527", "mask2former_r50_8xb2-90k_cityscapes-512x1024"),
    "maskformer": ("MaskFormer", "arXiv:2107.06278", "maskformer_r50-d32_8xb2-160k_ade20k-512x512"),
    "mobilenet_v2": ("MobileNetV2", "arXiv:1801.04381", "mobilenet-v2-d8_fcn_4xb2-80k_cityscapes-512x1024"),
    "mobilenet_v3": (
        "MobileNetV3, LR-ASPP",
        "arXiv:1905.02244",
        "mobilenet-v3-d8_lraspp_4xb4-320k_cityscapes-512x1024",
    ),
    "nonlocal_net": ("NonLocal Net", "arXiv:1711.07971", "nonlocal_r50-d8_4xb2-40k_cityscapes-512x1024"),
    "ocrnet": ("OCRNet", "arXiv:1909.11065", "ocrnet_hr18s_4xb2-40k_cityscapes-512x1024"),
    "pidnet": ("PIDNet", "arXiv:2206.02066", "pidnet-s_2xb6-120k_1024x1024-cityscapes"),
    "point_rend": ("PointRend", "arXiv:1912.08193", "pointrend_r50_4xb2-80k_cityscapes-512x1024"),
    "poolformer": ("PoolFormer", "arXiv:2111.11418", "fpn_poolformer_s12_8xb4-40k_ade20k-512x512"),
    "psanet": ("PSANet", "ECCV 2018", "psanet_r50-d8_4xb2-40k_cityscapes-512x1024"),
    "pspnet": ("PSPNet", "arXiv:1612.01105", "pspnet_r50-d8_4xb2-40k_cityscapes-512x1024"),
    "resnest": ("ResNeSt", "arXiv:2004.08955", "resnest_s101-d8_fcn_4xb2-80k_cityscapes-512x1024"),
    "segformer": ("SegFormer", "arXiv:2105.15203", "segformer_mit-b0_8xb1-160k_cityscapes-1024x1024"),
    "segmenter": ("Segmenter", "arXiv:2105.05633", "segmenter_vit-t_mask_8xb1-160k_ade20k-512x512"),
    "segnext": ("SegNeXt", "arXiv:2209.08575", "segnext_mscan-t_1xb16-adamw-160k_ade20k-512x512"),
    "sem_fpn": ("Semantic FPN", "arXiv:1901.02446", "fpn_r50_4xb2-80k_cityscapes-512x1024"),
    "setr": ("SETR", "arXiv:2012.15840", "setr_vit-l_pup_8xb1-80k_cityscapes-768x768"),
    "stdc": ("STDC", "arXiv:2104.13188", "stdc1_4xb12-80k_cityscapes-512x1024"),
    "swin": ("Swin", "arXiv:2103.14030", "swin-tiny-patch4-window7-in1k-pre_upernet_8xb2-160k_ade20k-512x512"),
    "twins": ("Twins", "arXiv:2104.13840", "twins_svt-s_uperhead_8xb2-160k_ade20k-512x512"),
    "unet": ("UNet", "arXiv:1505.04597", "unet-s5-d16_fcn_4xb4-160k_cityscapes-512x1024"),
    "upernet": ("UPerNet", "arXiv:1807.10221", "upernet_r18_4xb2-40k_cityscapes-512x1024"),
    "vit": ("ViT, DeiT", "arXiv:2010.11929", "vit_deit-s16_upernet_8xb2-160k_ade20k-512x512"),
}

# SegNeXt's residual branches overflow float32 with undamped weights; ISANet's and ANN's attention becomes a choice of
# one cell among nearly equal ones, which the last bit decides, in torch as elsewhere.
DAMPING: dict[str, dict[str, float]] = {
    "resnest": {"bn3.weight": 0.2},
    "segnext": {"layer_scale_1": 0.01, "layer_scale_2": 0.01},
    "isanet": {"query_project.1.bn.weight": 1e-3, "query_project.1.bn.bias": 1e-3},
    "ann": {"query_project.bn.weight": 1e-3, "query_project.bn.bias": 1e-3},
}
