"""Parts of tests and figures of rasters: small networks as packages, and rasters of any size."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

CLASSES = ("water", "forest", "field", "road", "roof")
UTM = "EPSG:32633"


def write_network(folder: Path, *, bands: int = 4, channels: int = 8, seed: int = 7, **description: Any) -> Path:
    """An ONNX file of random, seeded weights with its description: cells of four pixels, logits of five classes."""
    import json

    import onnx
    from onnx import TensorProto, helper, numpy_helper

    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    shapes = {"w1": (channels, bands, 7, 7), "w2": (len(CLASSES), channels, 3, 3)}
    weights = {name: rng.normal(0, (2 / np.prod(shape[1:])) ** 0.5, shape) for name, shape in shapes.items()}
    nodes = [
        helper.make_node("Conv", ["image", "w1"], ["a"], kernel_shape=[7, 7], strides=[4, 4], pads=[3, 3, 3, 3]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Conv", ["b", "w2"], ["logits"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
    ]
    graph = helper.make_graph(
        nodes,
        "scene",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", bands, "h", "w"])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", len(CLASSES), "i", "j"])],
        [numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()],
    )
    path = folder / "scene.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), path)
    normal = {"mean": [120.0] * bands, "std": [60.0] * bands}
    told = {"classes": list(CLASSES), "normalization": normal, **description}
    if bands in (1, 3):
        told.setdefault("pixels", "multispectral")
    path.with_suffix(".yaml").write_text(json.dumps(told), encoding="utf-8")
    return path


def write_raster(
    path: Path,
    size: tuple[int, int],
    *,
    bands: int = 4,
    dtype: str = "uint8",
    crs: str | None = UTM,
    nodata: float | None = None,
    empty: tuple[slice, slice] | None = None,
    **options: Any,
) -> Path:
    """A GeoTIFF of smooth noise, written by blocks; the same for the same size."""
    import cv2
    import rasterio
    from rasterio.transform import from_origin
    from rasterio.windows import Window

    height, width = size
    side = 512
    transform = from_origin(400_000, 5_800_000, 0.25, 0.25) if crs else None
    how = {"tiled": True, "blockxsize": side, "blockysize": side, "compress": "deflate", "zlevel": 1} | options
    if not how["tiled"]:
        how = {key: value for key, value in how.items() if not key.startswith("block")}
    how = {"photometric": "MINISBLACK", "BIGTIFF": "IF_SAFER", "nodata": nodata, "crs": crs, **how}
    how |= {"driver": "GTiff", "height": height, "width": width, "count": bands, "dtype": dtype}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it has no georeference, where that is wanted
        data = rasterio.open(path, "w", transform=transform, **how)
    with data:
        for top in range(0, height, side):
            for left in range(0, width, side):
                rows, columns = min(side, height - top), min(side, width - left)
                rng = np.random.default_rng([top, left])
                coarse = rng.integers(10, 246, (bands, 34, 34), np.uint8)
                block = np.stack([cv2.resize(one, (side, side), interpolation=cv2.INTER_CUBIC) for one in coarse])
                block = block[:, :rows, :columns].astype(dtype)
                if empty is not None:
                    _clear(block, (top, left), empty, nodata)
                data.write(block, window=Window(left, top, columns, rows))
    return path


def _clear(block: np.ndarray, corner: tuple[int, int], empty: tuple[slice, slice], value: float | None) -> None:
    starts = [max(0, part.start - begin) for part, begin in zip(empty, corner, strict=True)]
    stops = [max(0, part.stop - begin) for part, begin in zip(empty, corner, strict=True)]
    block[:, starts[0] : stops[0], starts[1] : stops[1]] = value
