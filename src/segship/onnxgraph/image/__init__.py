"""Work on images as ONNX operators, around a network: preprocessing before it, the mask after it."""
