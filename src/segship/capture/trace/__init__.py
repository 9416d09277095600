"""The tracer: a network is run once on tensors that hold no numbers, and what it does is written down as ONNX."""
