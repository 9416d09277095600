"""ONNX Runtime's execution providers: those that are built in, those that other wheels bring, and what each really ran.

A provider that ONNX Runtime cannot load, or that takes no operator, leaves the network to the processor without an
error. Here it is read back after a session is opened: which providers it has, and which of them computes each operator.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from segship.core.errors import BackendError, engine_errors, one_line

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

__all__ = ["DEVICES", "open_session", "usable_devices"]

_CPU = "CPUExecutionProvider"
_RECORD = "session.record_ep_graph_assignment_info"
_HEAVY = ("Conv", "MatMul", "Gemm", "Attention")
"""Parts of the names of operators that a network's time goes into; sizes are computed on the processor by design."""


@dataclass(frozen=True)
class _Provider:
    """An execution provider.

    Attributes:
        name: ONNX Runtime's name for it.
        package: What pip installs it with.
        plugin: Module of a wheel that brings it as a library of its own; empty: there is none.
        options: It is opened with, as a plugin.
    """

    name: str
    package: str = ""
    plugin: str = ""
    options: Mapping[str, str] = field(default_factory=dict, hash=False)


# OpenVINO computes float32 graphs in bfloat16 or float16 where the processor or the GPU has it, unless told otherwise.
_EXACT = '{"CPU": {"INFERENCE_PRECISION_HINT": "f32"}, "GPU": {"INFERENCE_PRECISION_HINT": "f32"}}'

DEVICES: Mapping[str, _Provider] = {
    "cpu": _Provider(_CPU),
    "cuda": _Provider("CUDAExecutionProvider", "onnxruntime-gpu"),
    "tensorrt": _Provider("TensorrtExecutionProvider", "onnxruntime-gpu"),
    "coreml": _Provider("CoreMLExecutionProvider"),
    "directml": _Provider("DmlExecutionProvider", "onnxruntime-directml"),
    "cann": _Provider("CANNExecutionProvider", "onnxruntime-cann"),
    "openvino": _Provider(
        "OpenVINOExecutionProvider", "onnxruntime-ep-openvino", "onnxruntime_ep_openvino", {"load_config": _EXACT}
    ),
    "webgpu": _Provider("WebGpuExecutionProvider", "onnxruntime-ep-webgpu", "onnxruntime_ep_webgpu"),
}
"""Each device by the word that users have for it."""


def open_session(runtime: Any, path: Path, options: Any, device: str) -> Any:
    """Open a session on a device, and see that it is the device that computes.

    Args:
        runtime: The module ``onnxruntime``.
        path: The ONNX file.
        options: ``SessionOptions``; what is needed for the device is added.
        device: A key of `DEVICES`, with a number after a colon for another one than the first.

    Returns:
        ``InferenceSession``.

    Raises:
        BackendError: The device is unknown or not here, the file cannot be opened, or the processor would compute in
            the device's place.
    """
    kind, _, index = device.partition(":")
    if kind not in DEVICES or not (index.isdigit() or not index):
        raise BackendError(f"no device is called {device!r}: {', '.join(DEVICES)}, or cuda:0 for the first GPU")
    provider = DEVICES[kind]
    if kind != "cpu":
        options.add_session_config_entry(_RECORD, "1")
    if provider.name in runtime.get_available_providers():
        chosen: Any = (provider.name, {"device_id": int(index)}) if index else provider.name
        names = [chosen] if kind == "cpu" else [chosen, _CPU]
        with engine_errors(f"ONNX Runtime cannot open {path}"):
            session = runtime.InferenceSession(str(path), options, providers=names)
    else:
        place = _plugin_device(runtime, kind, int(index or 0))
        with engine_errors(f"ONNX Runtime cannot open {path}"):
            options.add_provider_for_devices([place], dict(provider.options))
            session = runtime.InferenceSession(str(path), options)
    if kind != "cpu":
        _require_used(session, provider.name, device, path)
    return session


def _require_used(session: Any, name: str, device: str, path: Path) -> None:
    """Read back which provider computes what.

    Raises:
        BackendError: The provider was left out, or operators that take the time are the processor's.
    """
    advice = "--device cpu where the processor is meant"
    if name not in session.get_providers():
        raise BackendError(
            f"{path} would run on the processor: ONNX Runtime has {name} and leaves it out on {device}: its drivers or "
            f"libraries are missing, or it takes none of the operators; {advice}"
        )
    if not hasattr(session, "get_provider_graph_assignment_info"):
        return  # versions before 1.24 do not tell
    nodes: dict[str, list[Any]] = {}
    for part in session.get_provider_graph_assignment_info():
        nodes.setdefault(part.ep_name, []).extend(part.get_nodes())
    left = [node for node in nodes.get(_CPU, []) if any(word in node.op_type for word in _HEAVY)]
    if not nodes.get(name):
        raise BackendError(f"{path} would run on the processor: {name} takes none of its operators; {advice}")
    if left:
        raise BackendError(
            f"{path} would run on the processor in part: {name} does not take {len(left)} operators, the first is "
            f"{left[0].op_type} {left[0].name!r}; {advice}"
        )


def _plugin_device(runtime: Any, kind: str, index: int) -> Any:
    """A device that a plugin offers.

    Raises:
        BackendError: The plugin is not installed, cannot be loaded, or offers none.
    """
    provider = DEVICES[kind]
    if not _has_plugin(provider):
        have = ", ".join(name for name, each in DEVICES.items() if each.name in runtime.get_available_providers())
        hint = f": pip install {provider.package}" if provider.package else ""
        raise BackendError(f"this build of ONNX Runtime has no {kind} support (it has {have}){hint}")
    found = _plugin_devices(runtime, kind)
    if index >= len(found):
        raise BackendError(
            f"{provider.package} offers {len(found)} devices here, and {kind}:{index} is not among them"
            if found
            else f"{provider.package} is installed, and offers no device on this machine"
        )
    return found[index]


def _has_plugin(provider: _Provider) -> bool:
    return bool(provider.plugin) and importlib.util.find_spec(provider.plugin) is not None


def _plugin_devices(runtime: Any, kind: str) -> Sequence[Any]:
    provider = DEVICES[kind]
    _register(runtime, provider)
    return [place for place in runtime.get_ep_devices() if place.ep_name == provider.name]


@functools.cache
def _register(runtime: Any, provider: _Provider) -> None:
    """Once in a process: a second time is an error, wherever the first was."""
    if any(place.ep_name == provider.name for place in runtime.get_ep_devices()):
        return
    with engine_errors(f"ONNX Runtime cannot load {provider.package}"):
        module = importlib.import_module(provider.plugin)
        runtime.register_execution_provider_library(provider.name, module.get_library_path())


def usable_devices(runtime: Any) -> dict[str, str]:
    """Return each device that is here or whose plugin is installed; why it cannot be used, or nothing.

    Args:
        runtime: The module ``onnxruntime``.
    """
    available = runtime.get_available_providers()
    found = {kind: "" for kind, provider in DEVICES.items() if provider.name in available}
    for kind, provider in DEVICES.items():
        if kind not in found and _has_plugin(provider):
            try:
                _plugin_device(runtime, kind, 0)
                found[kind] = ""
            except BackendError as error:
                found[kind] = one_line(error)
    return found
