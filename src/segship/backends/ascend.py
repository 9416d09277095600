"""Ascend: Huawei's NPUs, whose engines (.om) ATC makes from ONNX and ais_bench or pyACL run.

Command lines as in Huawei's documentation of ATC (CANN 6 to 9) and of ais_bench. Nothing of it was run on an NPU by
this project: the commands are held against stand-ins that check them strictly.
"""

from __future__ import annotations

import json
import re
import shlex
from typing import TYPE_CHECKING, Any

import numpy as np

from segship.backends import _elsewhere
from segship.core import kits
from segship.core.artifacts import BackendInfo, Device, EngineOption, Session, shapes_of
from segship.core.errors import BackendError, InputError, MissingExtraError, engine_errors, one_line
from segship.core.kits import ENGINES, INPUTS, OUTPUTS, KitJob, Recipe
from segship.core.sessions import OpenSession, Pool

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from segship.core.artifacts import Engine
    from segship.core.spec import ModelSpec
    from segship.core.target import Target

__all__ = ["INFO", "PROGRAMS", "convert", "explain", "free", "open", "probe", "read_speed", "recipe"]

_MODES = {
    "fp32": ("force_fp32", "must_keep_origin_dtype"),
    "fp16": ("force_fp16", "allow_mix_precision", "allow_fp32_to_fp16", "cube_fp16in_fp32out"),
}
"""What ATC calls the precisions; the first is asked for, for its own default is force_fp16."""

INFO = BackendInfo(
    title="Ascend",
    graph="onnx",
    precisions=("fp32", "fp16"),
    extra="",
    modules=(),
    opset=18,
    plain=17,
    unverified=True,
    default_device="npu",
    threads="",
    parallel=False,
    options={
        "soc": EngineOption(str, "chip the engine is for, as npu-smi info names it: Ascend310P3; needed"),
        "batch": EngineOption(str, "images at once, an engine for each: 1,4,8,16,32,64; 1 by default"),
        "dynamic_batch_size": EngineOption(str, "one engine for several batches: 1,4,8"),
        "dynamic_image_size": EngineOption(str, "one engine for several sizes, height,width: 512,1024;1024,2048"),
        "precision_mode": EngineOption(
            str, "ATC's word for the precision", choices=tuple(mode for modes in _MODES.values() for mode in modes)
        ),
        "optypelist_for_implmode": EngineOption(str, "operators that op_select_implmode is for: Gelu"),
        "op_select_implmode": EngineOption(
            str, "kernels that are taken", choices=("high_precision", "high_performance")
        ),
        "input_format": EngineOption(str, "layout that ATC is told", choices=("NCHW", "ND")),
        "aipp": EngineOption(bool, "the chip normalises: its inputs are bytes, (height, width, channels)"),
        "loop": EngineOption(int, "runs that are timed; 100 by default", minimum=1),
    },
    elsewhere="segship export … --kit FOLDER and segship adopt do it on a machine with the chip",
    gaps={
        "tried": "written against Huawei's documentation; no NPU was at hand",
        "int8": "ATC quantises with AMCT's files only: give it those of amct_onnx",
        "bf16": "ATC is given fp32 or fp16",
        "dynamic": "it takes listed sizes: --option dynamic_image_size=512,1024;1024,2048",
    },
)

PROGRAMS: Sequence[str] = ("atc",)
_PLACE = "https://www.hiascend.com/software/cann"
_IMAGE = "image"
_SIZES = re.compile(r"\d+,\d+(;\d+,\d+)*")
_NUMBERS = re.compile(r"\d+(,\d+)*")


def free(target: Target) -> bool:
    """Whether ATC is given listed batches or sizes."""
    return "dynamic_batch_size" in target.options or "dynamic_image_size" in target.options


def recipe(job: KitJob) -> Recipe:
    """The commands of ATC and ais_bench.

    Raises:
        BackendError: The chip is not named, or options contradict each other.
    """
    options = job.target.options
    soc = str(options.get("soc", ""))
    if not re.fullmatch(r"Ascend\w+", soc):
        said = f"soc is {soc!r}" if soc else "the option soc is needed"
        meant = f", as in soc=Ascend{soc}" if re.fullmatch(r"\d+\w*", soc) else ""
        raise BackendError(f"Ascend: {said}: the chip as npu-smi info names it{meant or ', as in soc=Ascend310P3'}")
    _require_consistent(job)
    aipp = bool(options.get("aipp", False))
    engines = {batch: "model.om" if free(job.target) else f"model_bs{batch}.om" for batch in _batches(job)}
    convert = [_atc(job, batch, name, aipp=aipp) for name, batch in {v: k for k, v in engines.items()}.items()]
    run = [line for batch, name in engines.items() for line in _ais_bench(job, batch, name)]
    files = {"aipp.cfg": _aipp(job.spec, job.image.shape)} if aipp else {}
    return Recipe(
        convert=convert,
        run=run,
        engines=engines,
        results=("{stem}_0",),
        needs=f"CANN's toolkit ({_PLACE}), its set_env.sh sourced: atc to convert; to run, the driver, and ais_bench "
        "with aclruntime",
        files=files,
        pixels=aipp,
        options=_remembered(job, aipp=aipp),
        by_size="dynamic_image_size" in options,
        written=_written,
    )


def _remembered(job: KitJob, *, aipp: bool) -> dict[str, Any]:
    """What ``open`` needs: ais_bench's word for how sizes vary, and what to undo where the chip normalises."""
    modes = {"dynamic_batch_size": "dymbatch", "dynamic_image_size": "dymhw"}
    mode = next((mode for name, mode in modes.items() if name in job.target.options), "static")
    told: dict[str, Any] = {"mode": mode}
    if aipp and job.spec is not None:
        normalization = job.spec.normalization
        told |= {"mean": list(normalization.mean), "std": list(normalization.std)}
    return told


def _batches(job: KitJob) -> tuple[int, ...]:
    listed = job.target.options.get("dynamic_batch_size")
    return tuple(map(int, str(listed).split(","))) if listed else job.batches


def _require_consistent(job: KitJob) -> None:
    options = job.target.options
    batches, sizes = (options.get(f"dynamic_{name}_size") for name in ("batch", "image"))
    for name, value, form in (("batch", batches, _NUMBERS), ("image", sizes, _SIZES)):
        if value is not None and not form.fullmatch(str(value)):
            example = "1,4,8" if name == "batch" else "512,1024;1024,2048"
            raise BackendError(f"Ascend: dynamic_{name}_size is {value!r}: expected {example}")
    if (batches or sizes) and "batch" in options:
        raise BackendError("Ascend: batch is for engines of one batch each: leave it or the dynamic sizes out")
    if batches and sizes:
        raise BackendError("Ascend: ATC takes dynamic_batch_size or dynamic_image_size, not both")
    if ("optypelist_for_implmode" in options) != ("op_select_implmode" in options):
        raise BackendError("Ascend: optypelist_for_implmode and op_select_implmode go together")
    _require_sizes(job, sizes)
    _require_mode(job)


def _require_sizes(job: KitJob, sizes: object) -> None:
    if sizes is None:
        if any(isinstance(side, str) for side in job.image.shape[1:]):
            raise BackendError(f"Ascend: {INFO.gaps['dynamic']}; or name one size, as in static-512x1024")
        return
    listed = {tuple(map(int, size.split(","))) for size in str(sizes).split(";")}
    if other := next((size for _, size in job.inputs if size not in listed), None):
        raise BackendError(
            f"Ascend: an input is {other[0]}x{other[1]}, and dynamic_image_size lists {sizes}: add it, or take a "
            "static shape, to which images are resized"
        )


def _require_mode(job: KitJob) -> None:
    modes = _MODES[job.target.precision]
    if job.target.options.get("precision_mode", modes[0]) not in modes:
        raise BackendError(
            f"Ascend: precision_mode {job.target.options['precision_mode']} is not {job.target.precision}, which is "
            f"{' or '.join(modes)}: change the target's precision"
        )


def _atc(job: KitJob, batch: int, name: str, *, aipp: bool) -> str:
    options = job.target.options
    batches, sizes = (options.get(f"dynamic_{kind}_size") for kind in ("batch", "image"))
    sides = ("-1", "-1") if sizes else job.image.shape[2:]
    shape = ("-1" if batches else 1 if sizes else batch, job.image.shape[1], *sides)
    arguments = [
        "--framework=5",
        f"--model={job.model(batch)}",
        f"--output={ENGINES}/{name.removesuffix('.om')}",
        f"--input_format={options.get('input_format', 'NCHW')}",
        f'--input_shape="{_IMAGE}:{",".join(map(str, shape))}"',
        "--log=error",
        f"--soc_version={options['soc']}",
        f"--precision_mode={options.get('precision_mode', _MODES[job.target.precision][0])}",
    ]
    arguments += [f'--dynamic_batch_size="{batches}"'] if batches else []
    arguments += [f'--dynamic_image_size="{sizes}"'] if sizes else []
    if "optypelist_for_implmode" in options:
        listed = shlex.quote(str(options["optypelist_for_implmode"]))
        arguments += [f"--optypelist_for_implmode={listed}", f"--op_select_implmode={options['op_select_implmode']}"]
    arguments += ["--insert_op_conf=aipp.cfg"] if aipp else []
    return " \\\n  ".join(["atc", *arguments])


def _ais_bench(job: KitJob, batch: int, name: str) -> Iterator[str]:
    options, loop = job.target.options, job.target.options.get("loop", 100)
    tool = f"python3 -m ais_bench --model {ENGINES}/{name}"
    if "dynamic_image_size" in options:
        for height, width in dict.fromkeys(size for _, size in job.inputs):
            form = f"--dymHW {height},{width} --outputSize 8000000000"
            place = f"{INPUTS}/{height}x{width}"
            yield f"{tool} {form} --input {place} --output {OUTPUTS} --output_dirname result_bs{batch} --outfmt BIN"
            log = f"{OUTPUTS}/time_bs{batch}_{height}x{width}.log"
            yield f"{tool} {form} --loop {loop} --batchsize {batch} 2>&1 | tee {log}"
        return
    form = f" --dymBatch {batch}" if "dynamic_batch_size" in options else ""
    yield f"{tool}{form} --input {INPUTS} --output {OUTPUTS} --output_dirname result_bs{batch} --outfmt BIN"
    yield f"{tool}{form} --loop {loop} --batchsize {batch} 2>&1 | tee {OUTPUTS}/time_bs{batch}.log"


def _aipp(spec: ModelSpec | None, shape: tuple[int | str, ...]) -> str:
    """ATC's configuration of preprocessing on the chip: bytes in, mean and deviation there."""
    if spec is None or len(spec.normalization.mean) != 3:  # noqa: PLR2004
        raise BackendError("Ascend: aipp is for networks of three channels, in a --kit")
    spec.require_common("Ascend's preprocessing (aipp)")
    height, width = shape[2:]
    lines = ["aipp_op {", "  aipp_mode: static", "  input_format: RGB888_U8", "  csc_switch: false"]
    lines += [f"  src_image_size_h: {height}", f"  src_image_size_w: {width}"]
    normalization = spec.normalization
    for channel, (mean, std) in enumerate(zip(normalization.mean, normalization.std, strict=True)):
        lines += [f"  min_chn_{channel}: {mean:.10g}", f"  var_reci_chn_{channel}: {1 / std:.10g}"]
    return "\n".join([*lines, "}", ""])


_THROUGHPUT = re.compile(r"throughput 1000\*batchsize\.mean\(([\d.]+)\)/NPU_compute_time\.mean\(([\d.]+)\): ([\d.]+)")


def read_speed(text: str, batch: int) -> float | None:
    """The throughput of ais_bench's summary, on the screen or as JSON; it counts images."""
    found = _THROUGHPUT.findall(text)
    if found:
        if (ran := float(found[-1][0])) != batch:
            raise InputError(f"it tells the time of {ran:g} images at once, expected {batch}")
        return float(found[-1][2])
    try:
        value = json.loads(text).get("throughput")
    except (ValueError, AttributeError):
        return None
    return float(value) if isinstance(value, (int, float)) else None


def _written(summary: str) -> list[tuple[str, str]]:
    """Of each input the file that ais_bench says it has written; of several sizes it tells the last one's."""
    try:
        samples = json.loads(summary)["filesinfo"].values()
        return [(str(sample["infiles"][0]), str(name)) for sample in samples for name in sample["outfiles"]]
    except (ValueError, RecursionError, KeyError, IndexError, TypeError, AttributeError):
        return []  # another version's; its times are read by themselves


_CODE = re.compile(r"\b(E[A-Z]?\d{4,5})\b:?\s*(.*)")
_OPERATOR = re.compile(r"(?:op|Op|node)\s*\[?'?\"?([\w./:]+?)'?\"?\]?\s*(?:,|optype|op dtype|dtype)")
_ADVICE = {
    "E10001": "name the input's shape and every size in it",
    "E10007": "the command line lacks a parameter",
    "E10016": "the model has no input of that name",
    "E19010": "ATC of this CANN does not know the operator in this opset: take a newer CANN",
    "EZ3003": "the chip has no kernel for the operator: take a newer CANN, or another network",
    "E19999": "an error inside ATC: CANN's log says more (~/ascend/log)",
    "E89999": "an error inside ATC: CANN's log says more (~/ascend/log)",
}


def explain(text: str) -> str:
    """ATC's code and words, the layer that it names, and what to do."""
    found = _CODE.search(text)
    if found is None:
        lines = [line for line in text.splitlines() if "rror" in line]
        return one_line(lines[-1]) if lines else ""
    code, said = found[1], found[2] or text[found.end() :].strip().partition("\n")[0]
    layer = _OPERATOR.search(text[found.start() :])
    place = f" at the layer {layer[1]}" if layer else ""
    advice = _ADVICE.get(code)
    return f"{code}: {one_line(said)}{place}{f'; {advice}' if advice else ''}"


convert = _elsewhere.builder(__name__)


def _load() -> Any:
    try:
        from ais_bench.infer import interface
    except ImportError as error:
        raise BackendError(
            f"Ascend engines are run by ais_bench with aclruntime, which are not installed ({one_line(error)}): "
            "https://gitee.com/ascend/tools/tree/master/ais-bench_workload/tool/ais_bench"
        ) from error
    return interface


def open(engine: Engine, *, device: str = INFO.default_device, threads: int | None = None) -> Session:
    """Open an engine by ais_bench's InferSession.

    Args:
        engine: Its first file is the .om.
        device: ``npu``, or ``npu:1`` for the second.
        threads: An NPU has none to set; anything but None is an error.

    Raises:
        BackendError: The tools or the device are not there, or the file cannot be opened.
    """
    index = _elsewhere.device_number(INFO, device, threads)
    interface, path = _load(), engine.directory / engine.files[0]
    with engine_errors(f"Ascend cannot open {path}"):
        pool = Pool(lambda: interface.InferSession(index, str(path)))
    mode, name, output = str(engine.options.get("mode", "static")), engine.inputs[0].name, engine.outputs[0].name
    mean, std = (engine.options.get(key) for key in ("mean", "std"))

    def run(feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
        image: NDArray[Any] = np.ascontiguousarray(feeds[name], np.float32)
        image = image if mean is None or std is None else kits.as_bytes(image, mean, std)
        with pool.lend() as session, engine_errors(f"Ascend refuses the input {shapes_of(feeds)}"):
            found = session.infer([image], mode)[0]
        return {output: np.asarray(found, np.float32)}

    return OpenSession("Ascend", run)


def probe() -> tuple[Device, ...]:
    """The NPU, where ais_bench is installed."""
    try:
        _load()
    except (BackendError, MissingExtraError) as error:
        return (Device("npu", usable=False, note=str(error)),)
    return (Device("npu", usable=True, note="ais_bench"),)
