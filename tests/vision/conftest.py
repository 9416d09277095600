"""Every test of `segship.vision` runs over NumPy's way and over segship-native's, where that is installed."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator

import pytest

from segship.vision import native

_MISSING = importlib.util.find_spec("segship_native") is None


@pytest.fixture(
    autouse=True,
    params=["numpy", pytest.param("native", marks=pytest.mark.skipif(_MISSING, reason="segship-native is not here"))],
)
def implementation(request: pytest.FixtureRequest) -> Iterator[str]:
    with native.using(request.param == "native"):
        yield request.param
