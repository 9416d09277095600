"""A stand-in for RKNN-Toolkit2's environment: strict about documented calls, it computes with ONNX Runtime."""

from __future__ import annotations

__all__ = ["MODULES"]

_API = """
import json, os, sys, time
import onnx, onnxruntime, yaml

MODE = os.environ.get("RKNN_STAND_IN", "works")

class RKNN:
    def __init__(self, verbose=True, verbose_file=None):
        self.state = "new"

    def config(self, *, target_platform, quantized_algorithm="normal", disable_rules=None):
        assert self.state == "new" and target_platform.startswith("rk35")
        assert disable_rules[:1] == ["fuse_multihead_attention_reshape_to_gather_split"], "2.5.0 cannot build attention"
        assert disable_rules[1] == "gather_to_conv", "2.5.0 ends the process"
        assert quantized_algorithm in ("normal", "kl_divergence", "mmse")
        self.left_out, self.algorithm = disable_rules[2:], quantized_algorithm
        self.state, self.chip = "configured", target_platform

    def load_onnx(self, model, inputs=None, input_size_list=None, input_initial_val=None, outputs=None):
        assert self.state == "configured"
        opset = onnx.load(model).opset_import[0].version
        if opset > 19:
            print(f"\\x1b[31mE load_onnx: Unsupport onnx opset {opset}, need <= 19!\\x1b[0m")
            return -1
        self.state, self.model = "loaded", model
        return 0

    def fuse(self):
        if MODE == "rules" and self.left_out != ["fuse_one", "fuse_two"]:
            rule = ["fuse_one", "fuse_two"][len(self.left_out)]
            os.write(1, f"W You can add disable_rules=['{rule}'] in rknn.config() to disable it!\\n".encode())
            raise ValueError("inputs or 'outputs' must be set!")
        if MODE == "stuck":
            os.write(1, b"W You can add disable_rules=['fuse_one'] in rknn.config() to disable it!\\n")
            raise ValueError("inputs or 'outputs' must be set!")

    def build(self, do_quantization=True, dataset=None, rknn_batch_size=None, auto_hybrid=False):
        assert self.state == "loaded" and not do_quantization
        if MODE == "refuses":
            os.write(1, b"I rknn building ...\\n")
            os.write(1, b"E RKNN: unsupport cpu ArgMax op 'value.ArgMax.9', rknn fallback cpu failed\\n")
            return -1
        if MODE == "raises":
            os.write(1, b"W build: Show op fuse match nodes:\\nRule: fuse_attention\\n")
            os.write(1, b"E build: Traceback (most recent call last):\\n  File 'reduce.py', line 6946\\n")
            os.write(1, b"ValueError: assignment destination is read-only\\n")
            os.write(1, b"E rknn-toolkit2 version: 2.5.0\\n")
            return -1
        if MODE == "lacking":
            os.write(1, b"E RKNN: [06:18:31] Unkown op target: 0\\n")
            line = "No lowering found for: or.{}, node type = Or, use CustomOperatorLower instead.\\n"
            os.write(1, "".join(line.format(number) for number in range(6)).encode())
        self.fuse()
        if MODE == "hangs":
            time.sleep(600)
        if MODE == "dies":
            os.write(2, b"Segmentation fault\\n")
            os._exit(139)
        self.state = "built"
        return 0

    def export_rknn(self, export_path):
        assert self.state == "built"
        open(export_path, "wb").write(f"RKNN {self.chip}".encode())
        return 0

    def hybrid_quantization_step1(self, dataset="dataset.txt", rknn_batch_size=None):
        assert self.state == "loaded"
        self.fuse()
        assert all(os.path.isfile(line) for line in open(dataset).read().split())
        stem = os.path.basename(self.model)[:-5]
        graph = onnx.load(self.model)
        open(stem + ".model", "wb").write(graph.SerializeToString())
        names = [node.output[0] for node in graph.graph.node]
        open(stem + ".data", "wb").write(" ".join([self.algorithm, *self.left_out]).encode())
        text = "custom_quantize_layers: {}\\nquantize_parameters:\\n"
        text += "".join(f"    {name}:\\n        dtype: int8\\n" for name in names)
        open(stem + ".quantization.cfg", "w").write(text)
        return 0

    def hybrid_quantization_step2(self, model_input, data_input, model_quantization_cfg):
        assert self.state == "configured"
        self.kept = yaml.safe_load(open(model_quantization_cfg))["custom_quantize_layers"]
        assert set(self.kept.values()) <= {"float16"}
        assert open(data_input).read().split() == [self.algorithm, *self.left_out], "step2 is inconsistent with step1"
        self.state, self.model = "built", model_input
        return 0

    def accuracy_analysis(self, inputs, output_dir="./snapshot"):
        names = [node.output[0] for node in onnx.load(self.model).graph.node]
        cosines = [f"0.{99 - 3 * place % 90:02}" for place in range(len(names))]
        rows = [f"[Conv] {name}   0.99 | 1.5   {cosine} | 2.5e-01" for name, cosine in zip(names, cosines)]
        open(output_dir + "/error_analysis.txt", "w").write("\\n".join(["# layer_name", *rows]))
        return 0

    def init_runtime(self, target=None):
        assert self.state == "built" and target is None
        self.session, self.state = onnxruntime.InferenceSession(self.model), "open"
        return 0

    def inference(self, inputs, data_format=None):
        assert self.state == "open" and data_format == ["nchw"]
        found = self.session.run(None, {self.session.get_inputs()[0].name: inputs[0]})
        return [found[0] + (float("nan") if MODE == "nan" else 0)]

    def release(self):
        self.state = "released"
"""

_YAML = "import yaml\n\nclass YAML:\n    def load(self, text):\n        return yaml.safe_load(text)\n"

MODULES = {"rknn.api": _API, "ruamel.yaml": _YAML}
"""Text of each module, by name."""
