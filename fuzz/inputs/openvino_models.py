"""Models of OpenVINO: every attribute of the XML with values that no model has, and damaged files."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from inputs.common import Case, damaged

if TYPE_CHECKING:
    from collections.abc import Iterator

XML = """<?xml version="1.0"?>
<net name="g" version="11">
<layers>
<layer id="0" name="x" type="Parameter" version="opset1"><data shape="?,3,?,?" element_type="f32"/>
<output><port id="0" precision="FP32" names="x"><dim>-1</dim><dim>3</dim><dim>-1</dim><dim>-1</dim></port></output></layer>
<layer id="1" name="w" type="Const" version="opset1"><data element_type="f32" shape="3,3,1,1" offset="0" size="36"/>
<output><port id="0" precision="FP32"><dim>3</dim><dim>3</dim><dim>1</dim><dim>1</dim></port></output></layer>
<layer id="2" name="y" type="Convolution" version="opset1"><data strides="1,1" dilations="1,1" pads_begin="0,0" pads_end="0,0" auto_pad="explicit"/>
<input><port id="0" precision="FP32"><dim>-1</dim><dim>3</dim><dim>-1</dim><dim>-1</dim></port><port id="1" precision="FP32"><dim>3</dim><dim>3</dim><dim>1</dim><dim>1</dim></port></input>
<output><port id="2" precision="FP32" names="y"><dim>-1</dim><dim>3</dim><dim>-1</dim><dim>-1</dim></port></output></layer>
<layer id="3" name="r" type="Result" version="opset1"><input><port id="0" precision="FP32"><dim>-1</dim><dim>3</dim><dim>-1</dim><dim>-1</dim></port></input></layer>
</layers>
<edges><edge from-layer="0" from-port="0" to-layer="2" to-port="0"/><edge from-layer="1" from-port="0" to-layer="2" to-port="1"/><edge from-layer="2" from-port="2" to-layer="3" to-port="0"/></edges>
<rt_info><model_info><labels value="road wall sky"/><mean_values value="1 2 3"/><scale_values value="1 2 3"/><reverse_input_channels value="YES"/></model_info></rt_info>
</net>"""
VALUES = (
    "",
    "x",
    "-1",
    "0",
    "99999999999999999999",
    "2147483647",
    "1,1",
    "?,?",
    "?,3,100000,100000",
    "1000000,3,?,?",
    "nan",
    "[/red]",
    "a" * 3000,
    "u8",
    "undefined",
    "&lt;",
)
_NUMBERS = ("", "0 0 0", "nan nan nan", "x", "1 2", "1e999", "1," * 9999)


def _of(title: str, text: bytes, weights: bytes = bytes(36), *, link: str = "") -> Case:
    def write(folder: Path) -> Path:
        (folder / "m.xml").write_bytes(text)
        if link == "fifo":
            os.mkfifo(folder / "m.bin")
        elif link:
            (folder / "m.bin").symlink_to(link)
        else:
            (folder / "m.bin").write_bytes(weights)
        return folder / "m.xml"

    return Case(title, write)


def _texts() -> Iterator[tuple[str, str]]:
    for number, match in enumerate(re.finditer(r'="([^"]*)"', XML)):
        for value in VALUES[number % 4 :: 4]:
            yield f"attribute {number} is {value[:20]}", XML[: match.start(1)] + value + XML[match.end(1) :]
    for name in ("mean_values", "scale_values", "labels", "reverse_input_channels", "embedded_processing"):
        for value in _NUMBERS:
            yield f"{name} is {value[:20]}", re.sub(rf'<{name} value="[^"]*"/>', f'<{name} value="{value}"/>', XML)
    for kind in ("Loop", "If", "TensorIterator", "Read", "Custom", "Assign", "Result", "Const", "NonMaxSuppression"):
        yield f"a layer {kind}", XML.replace("Convolution", kind)
    entities = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 12))
    yield (
        "entities",
        XML.replace("<net", f'<!DOCTYPE x [<!ENTITY a0 "x">{entities}]><net').replace('name="g"', 'name="&a11;"'),
    )
    yield (
        "a file as entity",
        XML.replace("<net", '<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]><net').replace(
            'name="g"', 'name="&f;"'
        ),
    )
    for encoding in ("zz", "utf-16", "utf-7", "idna", "rot13", "hex", "punycode", "undefined", ""):
        yield f"encoding {encoding}", XML.replace('version="1.0"', f'version="1.0" encoding="{encoding}"')
    yield "elements within elements", "<net>" * 100_000
    yield (
        "layers",
        XML.replace("</layers>", '<layer id="9" name="z" type="Result" version="opset1"/>' * 50_000 + "</layers>"),
    )
    yield "attributes", XML.replace("<net ", "<net " + " ".join(f'a{n}="1"' for n in range(50_000)) + " ")
    yield "a long text", XML.replace("</net>", "x" * 30_000_000 + "</net>")
    yield "dimensions", XML.replace("<dim>3</dim>", "<dim>3</dim>" * 1000)


def cases() -> Iterator[Case]:
    """All of them."""
    for title, text in _texts():
        yield _of(title, text.encode())
    for title, data in damaged(XML.encode(), 150):
        yield _of(title, data)
    for link in ("fifo", "/dev/zero", "/etc/passwd", "nowhere"):
        yield _of(f"weights that are {link}", XML.encode(), link=link)
    yield _of("no weights", XML.encode(), b"")


def read(path: Path) -> None:
    """Read a network and what it means."""
    from segship.sources import load

    load(path)
