from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from segship.models.heads.segformer import SegformerHead
from support import fill


@pytest.mark.parametrize("align_corners", [True, False])
def test_fusing_before_the_resize_is_fusing_after_it(align_corners: bool) -> None:
    head = SegformerHead(
        [4, 6], 8, num_classes=3, in_index=(0, 1), align_corners=align_corners, norm_cfg={"type": "BN"}
    )
    fill.fill_network(head).eval()
    maps = [torch.randn(2, 4, 11, 14), torch.randn(2, 6, 5, 7)]
    wide = [
        F.interpolate(conv(x), (11, 14), mode="bilinear", align_corners=align_corners)
        for conv, x in zip(head.convs, maps, strict=True)
    ]
    torch.testing.assert_close(head(maps), head.conv_seg(head.fusion_conv(torch.cat(wide, 1))))
