"""Outlines along the borders of pixels, as GeoJSON whose coordinates are pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from segship.vision.regions import as_polygons

if TYPE_CHECKING:
    from segship.formats.masks.labelled import Labelled

__all__ = ["features"]


def features(labelled: Labelled) -> dict[str, Any]:
    """A polygon with its holes for each connected region.

    Args:
        labelled: A label map.

    Returns:
        A ``FeatureCollection``; x and y in pixels from the upper left corner, y downwards.
    """
    return {
        "type": "FeatureCollection",
        "features": [
            {
                "type": "Feature",
                "properties": {"category_id": region["label"], "name": labelled.name(region["label"])},
                "geometry": {"type": "Polygon", "coordinates": region["rings"]},
            }
            for region in as_polygons(labelled.mask)
            if region["label"] < len(labelled.meaning.classes)
        ],
    }
