"""A change of Pillow's that Segship's graphs do not follow; a test that passes says that the note of it can go."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image


@pytest.mark.xfail(reason="drop the note on Pillow 13 in onnxgraph/image/preprocess.py when this passes")
def test_pillow_resizes_along_the_rows_first() -> None:
    """13 begins with the columns where the height shrinks much more than the width; 12 never did."""
    pixels = np.random.default_rng(0).integers(0, 256, (400, 60), np.uint8)
    image, resampling = Image.fromarray(pixels), Image.Resampling.BILINEAR
    rows_first = image.resize((50, 400), resampling).resize((50, 20), resampling)
    np.testing.assert_array_equal(np.asarray(image.resize((50, 20), resampling)), np.asarray(rows_first))
