from __future__ import annotations

import numpy as np

from segship.core.artifacts import TensorInfo
from segship.onnxgraph.ports import declare, inputs_of, outputs_of, select_output
from support.onnx_models import parsed

TEXT = """g (float[n, 3, 8] x, float[1] w) => (float[n, 3, 8] y, int64[3] s) {
    y = Add(x, w)
    s = Shape(x)
}"""


def test_ports_are_read_and_what_has_a_default_is_no_input() -> None:
    model = parsed(TEXT, w=np.ones(1, np.float32))
    assert inputs_of(model) == (TensorInfo(name="x", dtype="float32", shape=("n", 3, 8)),)
    assert outputs_of(model) == (
        TensorInfo(name="y", dtype="float32", shape=("n", 3, 8)),
        TensorInfo(name="s", dtype="int64", shape=(3,)),
    )


def test_ports_are_declared_anew() -> None:
    model = parsed(TEXT)
    ports = (
        TensorInfo(name="x", dtype="uint8", shape=(1, "w")),
        TensorInfo(name="s", dtype="int64", shape=()),
    )
    declare(model, ports[:1], ports[1:])
    assert (inputs_of(model), outputs_of(model)) == (ports[:1], ports[1:])


def test_one_output_is_selected() -> None:
    model = parsed(TEXT)
    select_output(model, "s")
    assert [port.name for port in outputs_of(model)] == ["s"]
