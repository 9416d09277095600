"""What a user may write, as a type checker sees it: `test_public_names` runs mypy over this file, nothing runs it."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, assert_type

import numpy as np
import PIL.Image
from numpy.typing import NDArray

import segship

Mask = NDArray[np.uint8 | np.uint16]


def make(config: Path, checkpoint: Path) -> segship.Package:
    source = segship.Source(config, checkpoint, cfg_options={"model.backbone.depth": 101}, trust=True)
    source = segship.Source("config.py", "weights.pth", cfg_options=["model.backbone.depth=101"])
    package = segship.export(source, "out", target="openvino_dynamic", embed=("pre", "post"))
    segship.export(source, config, target=segship.Target.parse("onnxruntime_static"), images=["a.png", config])
    segship.export("config.py", "weights.pth", "package", cfg_options=["a=1"], progress=print)
    segship.export("folder", "package")
    int8 = segship.Int8(calibration="images", labels=config, images=32)
    segship.export(source, "out", target="onnxruntime-int8_dynamic", int8=int8, allow_inexact=True)
    assert_type(package, segship.Package)
    assert_type(package.manifest, segship.Manifest)
    assert_type(package.manifest.spec, segship.ModelSpec)
    assert_type(package.manifest.sizes, segship.SizeRule)
    return package


def use(package: segship.Package, array: NDArray[np.uint8]) -> list[Mask]:
    with segship.Segmentor(package, device="cuda:0") as segmentor:
        assert_type(segmentor, segship.Segmentor)
        assert_type(segmentor("street.jpg"), Mask)
        assert_type(segmentor([array, b"bytes", Path("street.jpg")]), list[Mask])
        segmentor(PIL.Image.open("street.jpg"))
        segmentor(io.BytesIO(b"bytes"))
        segmentor.warm_up((512, 1024))
        assert_type(segmentor.scores(array), NDArray[np.float32])
        return segmentor.batch([array, array])


def judge(package: segship.Package) -> bool:
    try:
        found = segship.evaluate(package, data=segship.Data.layout("cityscapes", "data", split="val"), workers=2)
        assert_type(found.scores.mIoU, float)
        timed = segship.benchmark([package, "other"], batch_sizes=(1, 4), size=(512, 1024))
        assert_type(timed.measurements[0].latency.p50, float)
        masks = segship.predict(package, "images", to="masks")
        assert_type(masks, list[Path])
        verified = segship.verify(segship.Source("config.py"), package, images=["a.png"], device="cpu")
        figures: dict[str, Any] = verified.as_dict()
        return not verified.failures and bool(figures)
    except segship.MissingExtraError:
        raise
    except segship.SegshipError:
        return False
