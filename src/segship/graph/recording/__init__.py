"""From a network to ONNX by running it once on tensors that hold no numbers."""
