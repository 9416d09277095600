"""Faults of ncnn that Segship works around; a test that passes says that its workaround can go."""

from __future__ import annotations

import numpy as np
import pytest

ncnn = pytest.importorskip("ncnn", reason="pip install segship[ncnn]")


@pytest.mark.xfail(reason="drop ascontiguousarray in backends/ncnn.py when this passes")
def test_a_matrix_of_a_window_holds_the_windows_numbers() -> None:
    """20260101 takes an array's memory as it lies, whatever its strides."""
    window = np.arange(2 * 4 * 8, dtype=np.float32).reshape(2, 4, 8)[:, :, :4]
    np.testing.assert_array_equal(np.array(ncnn.Mat(window).clone()), window)
