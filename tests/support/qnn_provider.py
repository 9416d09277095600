"""A stand-in for onnxruntime-qnn: strict about documented calls, it computes with ONNX Runtime's processor kernels.

Importing it puts its provider into ``onnxruntime``. A context binary is the ONNX file that it was compiled from.
"""

from __future__ import annotations

__all__ = ["MODULES"]

_PROVIDER = """
import os, pathlib, types
import onnx, onnxruntime
from onnx import helper

MODE = os.environ.get("QNN_STAND_IN", "works")
NAME = "QNNExecutionProvider"
Real, RealOptions = onnxruntime.InferenceSession, onnxruntime.SessionOptions
DEVICE = getattr(onnxruntime.OrtHardwareDeviceType, os.environ.get("QNN_DEVICE", "CPU"))
PLACE = types.SimpleNamespace(ep_name=NAME, device=types.SimpleNamespace(type=DEVICE))
registered = []

def get_library_path():
    return "/wheel/libonnxruntime_providers_qnn.so"

def get_qnn_htp_path():
    return "/wheel/libQnnHtp.so"

def register(name, path):
    assert (name, path) == (NAME, get_library_path()) and not registered, "once in a process"
    registered.append(name)

class Options(RealOptions):
    def __init__(self):
        super().__init__()
        self.entries, self.provider = {}, None

    def add_session_config_entry(self, name, value):
        self.entries[name] = value

    def add_provider_for_devices(self, devices, options):
        assert devices == [PLACE] and registered
        assert options["backend_path"] == get_qnn_htp_path()
        assert options["htp_arch"] in {"68", "69", "73", "75", "79", "81"}
        assert set(options) <= {
            "backend_path", "htp_arch", "soc_model", "htp_graph_finalization_optimization_mode", "vtcm_mb"
        }, options
        assert all(isinstance(value, str) for value in options.values())
        self.provider = options

class Session:
    def __init__(self, path, options):
        if MODE == "dies":
            os.write(2, b"Segmentation fault\\n")
            os._exit(139)
        entries = options.entries
        model = onnx.load(path)
        self.left = [node for node in model.graph.node if node.op_type == "Erf"]
        if options.provider.get("soc_model") == "9999":
            self.left = list(model.graph.node)
        self.nodes = [node for node in model.graph.node if node not in self.left]
        compiled = entries.get("ep.context_file_path")
        if compiled:
            assert entries["ep.context_enable"] == "1" and entries["ep.context_embed_mode"] == "0"
            assert not os.path.exists(compiled), "it never writes over a file"
            self.compile(model, pathlib.Path(compiled))
        if self.left and entries.get("session.disable_cpu_ep_fallback") == "1":
            raise RuntimeError("This session contains graph nodes that are assigned to the default CPU EP")
        if model.graph.node[0].op_type == "EPContext":
            [binary] = model.graph.node[0].attribute
            path = str(pathlib.Path(path).parent / binary.s.decode())
        self.real = Real(path, providers=["CPUExecutionProvider"])

    def compile(self, model, path):
        binary = path.with_name(path.stem + "_qnn.bin")
        binary.write_bytes(model.SerializeToString())
        graph, count = model.graph, 2 if MODE == "parts" else 1
        names = [value.name for value in graph.output]
        nodes = [
            helper.make_node("EPContext", [graph.input[0].name], names if not index else [f"more{index}"],
                             domain="com.microsoft", ep_cache_context=binary.name)
            for index in range(count)
        ]
        made = helper.make_graph(nodes, "compiled", graph.input, graph.output)
        onnx.save(helper.make_model(made, opset_imports=[helper.make_opsetid("com.microsoft", 1)]), path)

    def get_providers(self):
        return ["CPUExecutionProvider"] if MODE == "leaves" else [NAME, "CPUExecutionProvider"]

    def get_provider_graph_assignment_info(self):
        parts = {NAME: self.nodes, "CPUExecutionProvider": self.left}
        return [types.SimpleNamespace(ep_name=name, get_nodes=lambda found=found: found)
                for name, found in parts.items() if found]

    def get_inputs(self):
        return self.real.get_inputs()

    def get_outputs(self):
        return self.real.get_outputs()

    def run(self, names, feeds):
        return self.real.run(names, feeds)

def session(path, options=None, **others):
    return Session(path, options) if getattr(options, "provider", None) else Real(path, options, **others)

onnxruntime.register_execution_provider_library = register
onnxruntime.get_ep_devices = lambda: [PLACE] if registered else []
onnxruntime.SessionOptions, onnxruntime.InferenceSession = Options, session
"""

MODULES = {"onnxruntime_qnn": _PROVIDER}
"""Text of each module, by name."""
