"""MagicMind: Cambricon's engine for its MLUs, built from ONNX by its Python interface and timed by mm_run.

Written against magicmind_cloud (its python_common and mmsegmentation sample, 2023). Nothing of it was run on an MLU by
this project: the programs of a kit are held against a stand-in of the interface.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np

from segship.backends import _elsewhere, _scripts
from segship.core.artifacts import BackendInfo, Device, EngineOption, Session, shapes_of
from segship.core.errors import BackendError, engine_errors, one_line
from segship.core.kits import CALIBRATION, ENGINES, INPUTS, OUTPUTS, KitJob, Recipe
from segship.core.sessions import OpenSession, Pool

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from segship.core.artifacts import Engine
    from segship.core.target import Target

__all__ = ["INFO", "PROGRAMS", "convert", "explain", "free", "open", "probe", "read_speed", "recipe"]

INFO = BackendInfo(
    title="MagicMind",
    graph="onnx",
    precisions=("fp32", "fp16", "int8"),
    precision_names={"force_float32": "fp32", "force_float16": "fp16", "qint8_mixed_float16": "int8"},
    extra="",
    modules=(),
    opset=18,
    plain=17,
    unverified=True,
    default_device="mlu",
    threads="",
    parallel=False,
    options={
        "arch": EngineOption(
            str,
            "architecture of the MLU; mtp_372 by default",
            choices=("mtp_220", "mtp_270", "mtp_290", "mtp_372", "tp_322", "mtp_592"),
        ),
        "batch": EngineOption(str, "images at once, an engine for each: 1,8; 1 by default"),
        "dynamic_shape": EngineOption(bool, "one engine for batches of 1 to max_batch"),
        "max_batch": EngineOption(int, "of dynamic_shape; 16 by default", minimum=1),
        "computation_preference": EngineOption(
            str, "how operators are computed; auto by default", choices=("auto", "fast", "high_precision")
        ),
        "calibration_algo": EngineOption(str, "of int8; linear by default", choices=("linear", "eqnm")),
        "weight_quant_granularity": EngineOption(
            str, "of int8; per_tensor by default", choices=("per_tensor", "per_axis")
        ),
        "activation_quant_algo": EngineOption(
            str, "of int8; symmetric by default", choices=("symmetric", "asymmetric")
        ),
        "iterations": EngineOption(int, "runs that mm_run times; 1000 by default", minimum=1),
    },
    elsewhere="segship export … --kit FOLDER and segship adopt do it on a machine with the MLU",
    gaps={
        "tried": "written against Cambricon's samples; no MLU was at hand",
        "bf16": "its precisions are force_float32, force_float16 and qint8_mixed_float16",
        "dynamic": "its sizes have bounds: dynamic-512x1024-1024x2048",
    },
)

PROGRAMS: Sequence[str] = ("mm_run",)
_SPEED = re.compile(r"Throughput \(qps\):\s*([\d.]+)")
_FAILED = re.compile(r"^(?:gen_model|infer): .*$", re.MULTILINE)


def free(target: Target) -> bool:
    """Whether one model takes several batches or sizes."""
    return bool(target.options.get("dynamic_shape", False)) or target.shape.static is None


def recipe(job: KitJob) -> Recipe:
    """The commands of gen_model.py, infer.py and mm_run.

    Raises:
        BackendError: A dynamic target has no bounds.
    """
    shape = job.target.shape
    if free(job.target) and not shape.own and shape.minimum is None:
        raise BackendError(f"MagicMind: {INFO.gaps['dynamic']}, or name one size, as in static-512x1024")
    one = free(job.target)
    engines = {batch: "model.mm" if one else f"model_bs{batch}.mm" for batch in job.batches}
    return Recipe(
        convert=[_gen_model(job, batch, name) for name, batch in {v: k for k, v in reversed(engines.items())}.items()],
        run=[line for batch, name in engines.items() for line in _run(job, batch, name)],
        engines=engines,
        results=("{stem}",),
        needs="Cambricon's MagicMind with its Python interface (magicmind) and mm_run; an MLU to run, and to calibrate",
        files={
            "gen_model.py": _scripts.script("magicmind_gen_model.py"),
            "infer.py": _scripts.script("magicmind_infer.py"),
        },
        by_size=shape.static is None and not shape.own,
    )


def _sizes(job: KitJob) -> tuple[tuple[int | str, ...], tuple[int | str, ...]]:
    """The least and the greatest height and width."""
    shape = job.target.shape
    if shape.minimum is None or shape.maximum is None:
        return job.image.shape[2:], job.image.shape[2:]
    return shape.minimum, shape.maximum


def _gen_model(job: KitJob, batch: int, name: str) -> str:
    options, channels = job.target.options, job.image.shape[1]
    mode = next(word for word, precision in INFO.precision_names.items() if precision == job.target.precision)
    least, greatest = _sizes(job)
    arguments = [
        f"--precision {mode}",
        f"--input_dims {_words(batch, channels, *greatest)}",
        f"--batch_size {batch}",
        f"--dynamic_shape {'true' if free(job.target) else 'false'}",
        f"--magicmind_model {ENGINES}/{name}",
        f"--onnx {job.model(batch)}",
        f"--mlu_arch {options.get('arch', 'mtp_372')}",
        "--type64to32_conversion true",
        "--conv_scale_fold true",
        f"--computation_preference {options.get('computation_preference', 'auto')}",
    ]
    if free(job.target):
        most = max(int(options.get("max_batch", 16)), *job.batches)
        arguments += [
            f"--dim_range_min {_words(1, channels, *least)}",
            f"--dim_range_max {_words(most, channels, *greatest)}",
        ]
    if job.target.precision == "int8":
        arguments += [
            f"--calibration_data_path {CALIBRATION}",
            f"--calibration_algo {options.get('calibration_algo', 'linear')}",
            f"--weight_quant_granularity {options.get('weight_quant_granularity', 'per_tensor')}",
            f"--activation_quant_algo {options.get('activation_quant_algo', 'symmetric')}",
        ]
    return " \\\n  ".join(["python3 gen_model.py", *arguments])


def _words(*sides: int | str) -> str:
    return " ".join(map(str, sides))


def _run(job: KitJob, batch: int, name: str) -> Iterator[str]:
    iterations = job.target.options.get("iterations", 1000)
    sizes = dict.fromkeys(size for _, size in job.inputs) or [job.image.shape[2:]]
    several = job.target.shape.static is None
    for height, width in sizes:
        place = f"{INPUTS}/{height}x{width}" if several else INPUTS
        dims = (batch, job.image.shape[1], height, width)
        yield (
            f"python3 infer.py --magicmind_model {ENGINES}/{name} --input {place} --output {OUTPUTS}/result_bs{batch} "
            f"--input_dims {_words(*dims)} --device_id 0"
        )
        log = f"time_bs{batch}_{height}x{width}.log" if several else f"time_bs{batch}.log"
        yield (
            f"mm_run --magicmind_model {ENGINES}/{name} --iterations {iterations} --batch_size {batch} "
            f"--input_dims {','.join(map(str, dims))} --devices 0 2>&1 | tee {OUTPUTS}/{log}"
        )


def read_speed(text: str, batch: int) -> float | None:
    """The throughput of mm_run's report."""
    del batch
    return _elsewhere.last_number(_SPEED, text)


def explain(text: str) -> str:
    """What the kit's program says of the status that MagicMind returned, or MagicMind's own last error."""
    if found := _FAILED.findall(text):
        return one_line(found[-1])
    lines = [line for line in text.splitlines() if "ERROR" in line or "Error" in line]
    return one_line(lines[-1]) if lines else ""


convert = _elsewhere.builder(__name__)


def _load() -> Any:
    try:
        from magicmind.python import runtime
    except ImportError as error:
        raise BackendError(
            f"MagicMind's Python interface is not installed ({one_line(error)}): it comes from Cambricon"
        ) from error
    return runtime


def open(engine: Engine, *, device: str = INFO.default_device, threads: int | None = None) -> Session:
    """Open a model.

    Args:
        engine: Its first file is the model.
        device: ``mlu``, or ``mlu:1`` for the second.
        threads: An MLU has none to set; anything but None is an error.

    Raises:
        BackendError: MagicMind or the MLU is not there, or the file cannot be opened.
    """
    index = _elsewhere.device_number(INFO, device, threads)
    runtime, path = _load(), engine.directory / engine.files[0]
    with engine_errors(f"MagicMind cannot open {path}"):
        pool = Pool(lambda: _Opened(runtime, str(path), index))
    name, output = engine.inputs[0].name, engine.outputs[0].name

    def run(feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
        with pool.lend() as opened, engine_errors(f"MagicMind refuses the input {shapes_of(feeds)}"):
            return {output: opened.run(np.ascontiguousarray(feeds[name], np.float32))}

    return OpenSession("MagicMind", run)


class _Opened:
    """A model with its context and queue on one MLU."""

    def __init__(self, runtime: Any, path: str, index: int) -> None:
        model = runtime.Model()
        _require(model.deserialize_from_file(path), "the model cannot be read")
        with runtime.System() as system:
            if index >= system.device_count():
                raise BackendError(f"there is no MLU {index}: {system.device_count()} are here")
            self._device = runtime.Device()
            self._device.id = index
            _require(self._device.active(), "the MLU cannot be opened")
            config = runtime.Model.EngineConfig()
            config.device_type = "MLU"
            self._context = model.create_i_engine(config).create_i_context()
            self._queue = self._device.create_queue()
            self._inputs = self._context.create_inputs()

    def run(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        """The output for an input (N, C, H, W)."""
        self._inputs[0].from_numpy(image)
        self._inputs[0].to(self._device)
        outputs: list[Any] = []
        _require(self._context.enqueue(self._inputs, outputs, self._queue), "the input is refused")
        _require(self._queue.sync(), "the run fails")
        return np.asarray(outputs[0].asnumpy(), np.float32)


def _require(status: Any, what: str) -> None:
    if not status.ok():
        raise BackendError(f"{what}: {one_line(status)}")


def probe() -> tuple[Device, ...]:
    """The MLUs there are."""
    try:
        with _load().System() as system:
            count = int(system.device_count())
    except Exception as error:  # noqa: BLE001  (a driver that is missing raises what it likes)
        return (Device("mlu", usable=False, note=one_line(error)),)
    if not count:
        return (Device("mlu", usable=False, note="MagicMind, but no MLU with a driver is here"),)
    return tuple(Device(f"mlu:{index}", usable=True, note="MagicMind") for index in range(count))
