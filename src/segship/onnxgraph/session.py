"""Running a model that is in memory, of any size, with ONNX Runtime."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segship.backends import DEFAULT
from segship.core.errors import one_line
from segship.onnxgraph.file import is_large, save

if TYPE_CHECKING:
    from collections.abc import Mapping

    import onnx

__all__ = ["open_model", "open_within", "runtime_reason"]

_AS_REQUESTED = 1  # arenas grow by what is asked for, not by powers of two
_CODE = re.compile(r"\[ONNXRuntimeError\] : \d+ : \w+ : |Load model from .*? failed:")
_NODE = re.compile(r"Non-zero status code returned while running (\w+) node\. Name:'(.*?)' Status Message: ")
_PLACE = re.compile(
    r"/\S+\.(?:h|cc|cpp|cu):\d+ .*? was false\. |/\S+\.(?:h|cc|cpp|cu):\d+ \S.*?\)(?: const)? (?=[A-Z])"
    r"|^\w+\.h:\d+ \w+ "
)
_IR = re.compile(r"Unsupported model IR version: (\d+), max supported IR version: (\d+)")
_OPSET = re.compile(r"Opset (\d+) is under development .* till opset (\d+)")
_OLDER = f"pip install -U {DEFAULT}, or export it again for an older version"


def open_within(model: onnx.ModelProto, memory: int) -> Any:
    """Open a model that is run once, unoptimised, and may not take more memory than it is given.

    Args:
        model: As for `open_model`.
        memory: Bytes for its weights and all it computes; where they do not suffice, opening or running it fails.

    Returns:
        ONNX Runtime's ``InferenceSession``.

    Raises:
        Exception: ONNX Runtime's own, where it refuses the model.
    """
    import onnxruntime

    place = onnxruntime.OrtMemoryInfo(
        "Cpu", onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, onnxruntime.OrtMemType.DEFAULT
    )
    room = onnxruntime.OrtArenaCfg({"max_mem": memory, "arena_extend_strategy": _AS_REQUESTED})
    onnxruntime.create_and_register_allocator(place, room)
    level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL  # folding constants has memory of its own
    return open_model(model, {"session.use_env_allocators": "1"}, graph_optimization_level=level)


def open_model(
    model: onnx.ModelProto, entries: Mapping[str, str] | None = None, *, folder: Path | None = None, **settings: Any
) -> Any:
    """Open a model on the processor.

    Args:
        model: The model; one that passes a protobuf message's size goes through a temporary file.
        entries: ONNX Runtime's config entries, by name.
        folder: Where the weights lie that the model only names; None: it names none.
        settings: Attributes of ONNX Runtime's ``SessionOptions``.

    Returns:
        ONNX Runtime's ``InferenceSession``.

    Raises:
        Exception: ONNX Runtime's own, where it refuses the model.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what it has to say is in the error
    for name, value in settings.items():
        setattr(options, name, value)
    for name, value in (entries or {}).items():
        options.add_session_config_entry(name, value)
    providers = ["CPUExecutionProvider"]
    if folder is None and not is_large(model):
        return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=providers)
    # ONNX Runtime reads or maps the weights while it opens the file; a mapped one is deleted when it is closed.
    with tempfile.TemporaryDirectory(prefix="segship-model-", ignore_cleanup_errors=True) as scratch:
        path = (folder or Path(scratch)) / "model.onnx"
        save(model, path)
        return onnxruntime.InferenceSession(str(path), options, providers=providers)


def runtime_reason(error: Exception) -> str:
    """Say in one line why ONNX Runtime refuses a model or an input: without places of its source, and with advice.

    Args:
        error: As ONNX Runtime raised it.
    """
    text = " ".join(str(error).split())
    for pattern, what in ((_IR, "IR version"), (_OPSET, "opset")):
        if found := pattern.search(text):
            return f"it is of {what} {found[1]}, the ONNX Runtime here reads up to {found[2]}: {_OLDER}"
    text = _CODE.sub("", text)
    if found := _NODE.search(text):
        name = f" {found[2]!r}" if found[2] else ""
        return one_line(f"{found[1]}{name} fails: {_PLACE.sub('', text[found.end() :])}".rstrip(" ."))
    return one_line(_PLACE.sub("", text).rstrip(" .") or error)
