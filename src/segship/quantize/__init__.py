"""From a float32 ONNX graph to one of lower precision, and what that costs."""
