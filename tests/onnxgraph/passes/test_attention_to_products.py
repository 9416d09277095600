from __future__ import annotations

import numpy as np
import onnxruntime
import pytest

from segship.onnxgraph.passes.attention_to_products import attention_to_products
from support.onnx_models import kinds, parsed


@pytest.mark.parametrize(
    ("shape", "options", "rewritten"),
    [
        ("[batch, 1, tokens, 16]", "", True),
        ("[batch, 2, tokens, 16]", "<scale = 0.5>", True),
        ("[batch, 2, 300, 16]", "", True),
        ("[batch, 2, 49, 16]", "", False),
        ("[batch, 8, tokens, 16]", "", False),
        ("[batch, heads, tokens, 16]", "<is_causal = 1>", False),
        ("[batch, tokens, 32]", "<q_num_heads = 2, kv_num_heads = 2>", False),
    ],
)
def test_attention_of_few_heads_over_many_tokens_is_written_as_products_with_the_same_result(
    shape: str, options: str, rewritten: bool
) -> None:
    text = f"""g (float{shape} query, float{shape} key, float{shape} value) => (float{shape} logits) {{
        warm = Relu(query)
        known = Relu(key)
        logits = Attention{options}(warm, known, value)
    }}"""
    original, model = parsed(text, opset=23), parsed(text, opset=23)
    assert attention_to_products(model) == rewritten
    assert kinds(model)[2:] == (["Transpose", "Mul", "MatMul", "Softmax", "MatMul"] if rewritten else ["Attention"])
    sides = [int({"batch": 3, "heads": 2, "tokens": 260}.get(side, side)) for side in shape.strip("[]").split(", ")]
    rng = np.random.default_rng(0)
    feeds = {name: rng.normal(size=sides).astype(np.float32) for name in ("query", "key", "value")}
    expected, found = (
        onnxruntime.InferenceSession(each.SerializeToString(), providers=["CPUExecutionProvider"]).run(None, feeds)[0]
        for each in (original, model)
    )
    assert np.abs(found - expected).max() < 1e-5
