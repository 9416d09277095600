from __future__ import annotations

from onnx import TensorProto, helper

from segship.onnxgraph.passes.strip_metadata import strip_metadata
from support.onnx_models import parsed

TEXT = "g (float[1] x) => (float[1] y) { a = Neg(x)  y = Neg(a) }"


def test_what_an_exporter_notes_for_itself_goes() -> None:
    model = parsed(TEXT)
    model.doc_string = "made by me"
    model.graph.node[0].doc_string = "/home/me/network.py:12"
    model.graph.node[1].metadata_props.add(key="stack", value="/home/me/network.py:13")
    model.graph.value_info.append(helper.make_tensor_value_info("a", TensorProto.FLOAT, [1]))
    assert strip_metadata(model)
    assert b"me" not in model.SerializeToString().replace(b"name", b"")
    assert model == parsed(TEXT)
    assert not strip_metadata(model)
