# ruff: noqa: PLC0415  (only this environment has what is imported)
"""What runs in the environment of RKNN-Toolkit2; it may import nothing of Segship.

The simulator computes what the toolkit has just built, and opens no finished ``.rknn`` file. So a package holds what
the toolkit builds from, beside what it built: ``network.onnx``, or, of int8, the three files of hybrid quantisation.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["analyse", "build", "build_int8", "calibrate", "simulate"]

ENGINE, NETWORK = "model.rknn", "network.onnx"
CALIBRATED = ("network.model", "network.data", "network.quantization.cfg")
_BROKEN = ("fuse_multihead_attention_reshape_to_gather_split",)  # writes to a read-only array, and nothing is built
_MOST = 100_000  # characters of a log that are passed on
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_TRACE = "Traceback (most recent call last):"
_RAISED = re.compile(r"[A-Za-z_.]*(?:Error|Exception): ")  # the last line of a traceback
_NUMBER = r"-?(?:\d[\d.e+-]*|nan|inf)"
_ROW = re.compile(rf"\s*\[\w+\] (?P<name>\S+)\s+{_NUMBER} \| {_NUMBER}\s+(?P<cosine>{_NUMBER}) \| ")


def build(network: str, folder: str, platform: str) -> None:
    """Convert an ONNX file to ``model.rknn`` in float16."""
    with _toolkit(platform) as toolkit:
        toolkit.load_onnx(model=network)
        toolkit.build(do_quantization=False)
        toolkit.export_rknn(export_path=str(Path(folder) / ENGINE))


def calibrate(network: str, inputs: str, folder: str, platform: str, algorithm: str) -> list[str]:
    """Find the ranges of an ONNX file's values on ``.npy`` files; return the names of what is quantised."""
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        os.chdir(scratch)  # the toolkit writes its files where it is
        Path("inputs.txt").write_text("".join(f"{path}\n" for path in sorted(Path(inputs).glob("*.npy"))))
        with _toolkit(platform, quantized_algorithm=algorithm) as toolkit:
            toolkit.load_onnx(model=network)
            toolkit.hybrid_quantization_step1(dataset="inputs.txt")
        stem = Path(network).stem
        for name in CALIBRATED:
            shutil.move(name.replace("network", stem, 1), str(Path(folder) / name))
        os.chdir(folder)
    values = _ranges(Path(folder))["quantize_parameters"]
    return [name for name, value in values.items() if value["dtype"] == "int8"]


def build_int8(calibrated: str, folder: str, platform: str, kept: str) -> None:
    """Build ``model.rknn`` of what `calibrate` wrote, which is copied beside it; a JSON list names what is float16."""
    for name in CALIBRATED:
        shutil.copyfile(Path(calibrated) / name, Path(folder) / name)
    settings = Path(folder) / CALIBRATED[2]
    # The toolkit refuses ranges that were read and written again, so only this line is changed.
    line = f"custom_quantize_layers: {json.dumps(dict.fromkeys(json.loads(kept), 'float16'))}"
    settings.write_text(settings.read_text().replace("custom_quantize_layers: {}", line, 1))
    with _toolkit(platform) as toolkit:
        _build_calibrated(toolkit, Path(folder))
        toolkit.export_rknn(export_path=str(Path(folder) / ENGINE))


def analyse(calibrated: str, image: str, platform: str) -> list[list[Any]]:
    """Run one ``.npy`` file; return name and cosine, to its value in floating point, of each layer for itself."""
    with tempfile.TemporaryDirectory(dir=calibrated) as scratch:
        with _toolkit(platform) as toolkit:
            _build_calibrated(toolkit, Path(calibrated))
            toolkit.accuracy_analysis(inputs=[image], output_dir=scratch)
        return _read_analysis((Path(scratch) / "error_analysis.txt").read_text(errors="replace"))


def simulate(folder: str, platform: str) -> Callable[[Any], Any]:
    """Open a package's folder on the simulator; an array (1, C, H, W) is answered with the logits."""
    held = _toolkit(platform)
    toolkit = held.__enter__()
    if (Path(folder) / NETWORK).is_file():
        toolkit.load_onnx(model=str(Path(folder) / NETWORK))
        toolkit.build(do_quantization=False)
    else:
        _build_calibrated(toolkit, Path(folder))
    toolkit.init_runtime()

    def run(image: Any, _held: Any = held) -> Any:
        return toolkit.inference(inputs=[image], data_format=["nchw"])[0]

    return run


class _Checked:
    """The toolkit, whose functions return -1 or raise where something is wrong, and print what."""

    def __init__(self, toolkit: Any) -> None:
        self._toolkit = toolkit

    def __getattr__(self, name: str) -> Callable[..., Any]:
        function = getattr(self._toolkit, name)

        def call(**options: Any) -> Any:
            with _listening() as said:
                try:
                    found = function(**options)
                except BaseException as error:  # noqa: BLE001  (it exits, too)
                    raise RuntimeError(f"{name}: {_errors(said()) or error}") from None
                if found is None or (isinstance(found, int) and found != 0):
                    raise RuntimeError(f"{name}: {_errors(said()) or f'it returned {found}'}")
            return found

        return call


@contextlib.contextmanager
def _toolkit(platform: str, **options: Any) -> Iterator[Any]:
    from rknn.api import RKNN  # type: ignore[import-not-found]

    toolkit = RKNN(verbose=False)
    toolkit.config(target_platform=platform, disable_rules=list(_BROKEN), **options)
    try:
        yield _Checked(toolkit)
    finally:
        toolkit.release()


def _build_calibrated(toolkit: Any, folder: Path) -> None:
    model, data, settings = (str(folder / name) for name in CALIBRATED)
    toolkit.hybrid_quantization_step2(model_input=model, data_input=data, model_quantization_cfg=settings)


def _ranges(folder: Path) -> Any:
    from ruamel.yaml import YAML  # type: ignore[import-not-found]

    return YAML().load((folder / CALIBRATED[2]).read_text())


@contextlib.contextmanager
def _listening() -> Iterator[Callable[[], str]]:
    """What is written to the standard streams meanwhile, native code's lines included; it is passed on at the end."""
    with tempfile.TemporaryFile() as log:
        _flush()
        before = os.dup(2)
        os.dup2(log.fileno(), 2)
        os.dup2(log.fileno(), 1)

        def said() -> str:
            _flush()
            log.seek(0)
            return log.read().decode(errors="replace")

        try:
            yield said
        finally:
            text = said()
            os.dup2(before, 2)
            os.dup2(before, 1)
            os.close(before)
            sys.stderr.write(text[-_MOST:])


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        stream.flush()


def _errors(text: str) -> str:
    """The lines of a log that tell an error, without colours; of a traceback, what was raised."""
    said, lines = _COLOUR.sub("", text.replace("\r", "\n")), []
    for line in said.splitlines():
        if line.startswith("E ") and not line.endswith(_TRACE):
            lines.append(line[2:].strip())
        elif _RAISED.match(line):
            lines.append(line.strip())
    return " / ".join(dict.fromkeys(lines))[:500]


def _read_analysis(text: str) -> list[list[Any]]:
    """Rows ``[Kind] name  cosine | euclidean  cosine | euclidean``: of the network so far, and of the layer alone."""
    rows = (_ROW.match(_COLOUR.sub("", line)) for line in text.splitlines())
    return [[row["name"], float(row["cosine"])] for row in rows if row]
