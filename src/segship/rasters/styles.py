"""Styles as QGIS keeps them beside a file: it colours and names classes as the network does when the file is opened."""

from __future__ import annotations

from typing import TYPE_CHECKING

from segship.core.files import write_atomically

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from xml.etree import ElementTree as ET

__all__ = ["write_style"]

_DOCTYPE = "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n"
_OLDEST = "3.22"  # version of QGIS whose form this is; newer ones read it
_FILLED = "160"  # of 255, so that polygons show what lies below


def write_style(path: Path, classes: Sequence[str], palette: Sequence[tuple[int, int, int]]) -> None:
    """Write a style for a label raster and for the polygons beside it, which share their name; one that is there stays.

    Args:
        path: The raster, or the polygons; the style lies beside them as ``.qml``.
        classes: Name of each label.
        palette: Its colour.

    Raises:
        InputError: It cannot be written.
    """
    from xml.etree import ElementTree as ET  # loaded for rasters alone

    style = path.with_suffix(".qml")
    if style.exists():
        return
    root = ET.Element("qgis", version=_OLDEST)
    raster = ET.SubElement(ET.SubElement(root, "pipe"), "rasterrenderer", type="paletted", band="1", opacity="1")
    raster.set("alphaBand", "-1")
    colours = ET.SubElement(raster, "colorPalette")
    polygons = ET.SubElement(root, "renderer-v2", type="categorizedSymbol", attr="class", enableorderby="0")
    categories, symbols = ET.SubElement(polygons, "categories"), ET.SubElement(polygons, "symbols")
    for label, (name, colour) in enumerate(zip(classes, palette, strict=True)):
        told = {"value": str(label), "color": "#{:02x}{:02x}{:02x}".format(*colour), "alpha": "255", "label": name}
        ET.SubElement(colours, "paletteEntry", told)
        ET.SubElement(categories, "category", symbol=str(label), value=name, label=name, render="true", type="string")
        _add_symbol(symbols, str(label), colour)
    write_atomically(style, (_DOCTYPE + ET.tostring(root, encoding="unicode") + "\n").encode())


def _add_symbol(symbols: ET.Element, name: str, colour: tuple[int, int, int]) -> None:
    from xml.etree import ElementTree as ET

    symbol = ET.SubElement(symbols, "symbol", type="fill", name=name, alpha="1", clip_to_extent="1")
    layer = ET.SubElement(symbol, "layer", {"class": "SimpleFill", "enabled": "1", "locked": "0", "pass": "0"})
    red, green, blue = colour
    looks = {"color": f"{red},{green},{blue},{_FILLED}", "style": "solid", "outline_style": "solid"}
    looks |= {"outline_color": f"{red},{green},{blue},255", "outline_width": "0.26", "outline_width_unit": "MM"}
    for key, value in looks.items():
        ET.SubElement(layer, "prop", k=key, v=value)
