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
_WRITTEN = ("network.model", "network.data", "network.quantization.cfg")  # by the toolkit
_CONFIG = "network.config.json"  # what it was told, which it has to be told again
CALIBRATED = (*_WRITTEN, _CONFIG)
_BROKEN = (  # its rules that write to a read-only array, and that make convolutions which end the process (Swin)
    "fuse_multihead_attention_reshape_to_gather_split",
    "gather_to_conv",
)
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_IDLE = "Unkown op target: 0"  # which it says of layers that it takes, too
_TRACE = "Traceback (most recent call last):"
_RAISED = re.compile(r"[A-Za-z_.]*(?:Error|Exception): ")  # the last line of a traceback
_RULE = re.compile(r"You can add disable_rules=\['(?P<name>\w+)'\]")  # what it says where one of its rules fails
# What the simulator computes and no board does, which asks for an operator of one's own when it opens the file.
_LACKING = re.compile(r"No lowering found for: (\S+), node type = (\w+), use CustomOperatorLower")
_SHOWN = 5  # layers that an error names
_NUMBER = r"-?(?:\d[\d.e+-]*|nan|inf)"
_ROW = re.compile(rf"\s*\[\w+\] (?P<name>\S+)\s+{_NUMBER} \| {_NUMBER}\s+(?P<cosine>{_NUMBER}) \| ")


def build(network: str, folder: str, platform: str) -> list[str]:
    """Convert an ONNX file to ``model.rknn`` in float16; return the toolkit's rules that were left out."""
    with _prepared(platform, lambda toolkit: _build_float(toolkit, network)) as toolkit:
        toolkit.export_rknn(export_path=str(Path(folder) / ENGINE))
    return toolkit.left_out


def calibrate(network: str, inputs: str, folder: str, platform: str, algorithm: str) -> dict[str, list[str]]:
    """Find the ranges of an ONNX file's values on ``.npy`` files.

    Returns:
        ``layers``: the names of what is quantised; ``left_out``: the toolkit's rules that were left out.
    """

    def find(toolkit: _Checked) -> None:
        toolkit.load_onnx(model=network)
        toolkit.hybrid_quantization_step1(dataset="inputs.txt")

    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        os.chdir(scratch)  # the toolkit writes its files where it is
        Path("inputs.txt").write_text("".join(f"{path}\n" for path in sorted(Path(inputs).glob("*.npy"))))
        with _prepared(platform, find, quantized_algorithm=algorithm) as toolkit:
            left_out = toolkit.left_out
        stem = Path(network).stem
        for name in _WRITTEN:
            shutil.move(name.replace("network", stem, 1), str(Path(folder) / name))
        os.chdir(folder)
    config = {"disable_rules": left_out, "quantized_algorithm": algorithm}
    (Path(folder) / _CONFIG).write_text(json.dumps(config))
    values = _ranges(Path(folder))["quantize_parameters"]
    return {
        "layers": [name for name, value in values.items() if value["dtype"] == "int8"],
        "left_out": left_out,
    }


def build_int8(calibrated: str, folder: str, platform: str, kept: str) -> None:
    """Build ``model.rknn`` of what `calibrate` wrote, which is copied beside it; a JSON list names what is float16."""
    for name in CALIBRATED:
        shutil.copyfile(Path(calibrated) / name, Path(folder) / name)
    settings = Path(folder) / _WRITTEN[2]
    # The toolkit refuses ranges that were read and written again, so only this line is changed.
    line = f"custom_quantize_layers: {json.dumps(dict.fromkeys(json.loads(kept), 'float16'))}"
    settings.write_text(settings.read_text().replace("custom_quantize_layers: {}", line, 1))
    with _prepared(platform, lambda toolkit: _build_calibrated(toolkit, Path(folder)), Path(folder)) as toolkit:
        toolkit.export_rknn(export_path=str(Path(folder) / ENGINE))


def analyse(calibrated: str, image: str, platform: str) -> list[list[Any]]:
    """Run one ``.npy`` file; return name and cosine, to its value in floating point, of each layer for itself."""
    source = Path(calibrated)
    with tempfile.TemporaryDirectory(dir=source) as scratch:
        with _prepared(platform, lambda toolkit: _build_calibrated(toolkit, source), source) as toolkit:
            toolkit.accuracy_analysis(inputs=[image], output_dir=scratch)
        return _read_analysis((Path(scratch) / "error_analysis.txt").read_text(errors="replace"))


def simulate(folder: str, platform: str) -> Callable[[Any], Any]:
    """Open a package's folder on the simulator; an array (1, C, H, W) is answered with the logits."""
    network = Path(folder) / NETWORK

    def prepare(toolkit: _Checked) -> None:
        if network.is_file():
            _build_float(toolkit, str(network))
        else:
            _build_calibrated(toolkit, Path(folder))
        toolkit.init_runtime()

    held = _prepared(platform, prepare, Path(folder))
    toolkit = held.__enter__()

    def run(image: Any, _held: Any = held) -> Any:
        return toolkit.inference(inputs=[image], data_format=["nchw"])[0]

    return run


class _RuleError(RuntimeError):
    """One of the toolkit's own rewriting rules fails; ``rule`` is its name."""

    def __init__(self, text: str, rule: str) -> None:
        super().__init__(text)
        self.rule = rule


class _Checked:
    """The toolkit, whose functions return -1 or raise where something is wrong, and print what."""

    def __init__(self, toolkit: Any, left_out: list[str]) -> None:
        self._toolkit, self.left_out = toolkit, left_out

    def release(self) -> None:
        """Let go of what it holds, which says nothing of success."""
        self._toolkit.release()

    def __getattr__(self, name: str) -> Callable[..., Any]:
        function = getattr(self._toolkit, name)

        def call(**options: Any) -> Any:
            with _listening() as said:
                try:
                    found = function(**options)
                except BaseException as error:  # noqa: BLE001  (it exits, too)
                    raise _failure(f"{name}: {_errors(said()) or error}", said()) from None
                if found is None or (isinstance(found, int) and found != 0):
                    raise _failure(f"{name}: {_errors(said()) or f'it returned {found}'}", said())
                if missing := _LACKING.findall(said()):
                    raise RuntimeError(f"{name}: the chip has no program for {_named(missing)}")
            return found

        return call


@contextlib.contextmanager
def _prepared(
    platform: str, prepare: Callable[[_Checked], None], folder: Path | None = None, **options: Any
) -> Iterator[_Checked]:
    """The toolkit after ``prepare``, without those of its rules that it says fail on this network.

    As the calibration in ``folder`` was made: the toolkit takes its ranges with the same settings alone.
    """
    known = folder / _CONFIG if folder else None
    options |= json.loads(known.read_text()) if known and known.is_file() else {}
    left_out: list[str] = options.pop("disable_rules", [])
    while True:
        toolkit = _started(platform, left_out, options)
        try:
            prepare(toolkit)
            break
        except BaseException as error:
            toolkit.release()
            rule = error.rule if isinstance(error, _RuleError) else None
            if rule is None or rule in left_out:
                raise
            left_out.append(rule)
    try:
        yield toolkit
    finally:
        toolkit.release()


def _started(platform: str, left_out: list[str], options: dict[str, Any]) -> _Checked:
    from rknn.api import RKNN  # type: ignore[import-not-found]

    toolkit = RKNN(verbose=True)  # else it does not tell which layers no board has a program for
    toolkit.config(target_platform=platform, disable_rules=[*_BROKEN, *left_out], **options)
    return _Checked(toolkit, left_out)


def _build_float(toolkit: _Checked, network: str) -> None:
    toolkit.load_onnx(model=network)
    toolkit.build(do_quantization=False)


def _build_calibrated(toolkit: _Checked, folder: Path) -> None:
    model, data, settings = (str(folder / name) for name in _WRITTEN)
    toolkit.hybrid_quantization_step2(model_input=model, data_input=data, model_quantization_cfg=settings)


def _ranges(folder: Path) -> Any:
    from ruamel.yaml import YAML  # type: ignore[import-not-found]

    return YAML().load((folder / _WRITTEN[2]).read_text())


@contextlib.contextmanager
def _listening() -> Iterator[Callable[[], str]]:
    """What is written to the standard streams meanwhile, native code's lines included.

    They are one file, which Segship reads where this process dies.
    """
    _flush()
    begin = os.fstat(2).st_size

    def said() -> str:
        _flush()
        return os.pread(2, os.fstat(2).st_size - begin, begin).decode(errors="replace")

    yield said


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        stream.flush()


def _failure(text: str, log: str) -> RuntimeError:
    rule = _RULE.search(log)
    return _RuleError(text, rule["name"]) if rule else RuntimeError(text)


def _named(layers: list[tuple[str, str]]) -> str:
    """Kinds and names of layers, the first few of them."""
    more = len(layers) - _SHOWN
    return ", ".join(f"{kind} '{name}'" for name, kind in layers[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _errors(text: str) -> str:
    """The lines of a log that tell an error, without colours; of a traceback, what was raised."""
    said, lines = _COLOUR.sub("", text.replace("\r", "\n")), []
    for line in said.splitlines():
        if line.startswith("E ") and not line.endswith((_TRACE, _IDLE)):
            lines.append(line[2:].strip())
        elif _RAISED.match(line):
            lines.append(line.strip())
    return " / ".join(dict.fromkeys(lines))[:500]


def _read_analysis(text: str) -> list[list[Any]]:
    """Rows ``[Kind] name  cosine | euclidean  cosine | euclidean``: of the network so far, and of the layer alone."""
    rows = (_ROW.match(_COLOUR.sub("", line)) for line in text.splitlines())
    return [[row["name"], float(row["cosine"])] for row in rows if row]
