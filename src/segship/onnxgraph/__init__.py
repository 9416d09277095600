"""ONNX files: loading, saving, building, and one rewrite a file in `passes`. Nothing else edits their nodes."""
