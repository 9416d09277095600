"""What runs inside Paddle's own environment: reading, cutting, converting and running a program.

This file is loaded by `segship.toolchains.launcher` in that environment's interpreter and imports nothing of Segship.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

__all__ = ["Predictor", "convert", "predictor"]

_PROBES = ((96, 128), (65, 97), (256, 320), (512, 1024))  # height and width; networks may refuse some
_IMAGE = 4  # dimensions of (N, C, H, W)
_ENOUGH = 2  # of them, where the cut program agrees with the whole one
_NOISE = 1e-3  # of the greatest score; another resize differs by much more
_TIES = 0.999  # share of labels: two equal scores may be decided either way

# Operators that reach files, other processes or code outside the program. None has a place in a network.
_FORBIDDEN = re.compile(
    r"py_?func|py_?layer|python_op|run_program|print|save|save_.*|load|load_.*|read|read_file|create_.*reader|.*_engine|"
    r"custom_.*|send|send_.*|recv|recv_.*|listen_.*|enqueue|dequeue|queue_generator|c_comm_init.*|c_gen_.*"
)
_DIALECTS = ("pd_op.", "builtin.", "cf.")


def convert(model: str, params: str, folder: str, opset: str) -> dict[str, Any]:
    """Cut off what follows the scores, compare the rest with the whole program, and convert it.

    Args:
        model: Program, ``.json`` or ``.pdmodel``.
        params: Its parameters.
        folder: Gets ``cut.json``, ``cut.pdiparams`` and ``model.onnx``.
        opset: Version of the ONNX operators.

    Returns:
        ``inputs``, ``outputs`` and ``tail``; or why not, under ``refused``, ``unreadable`` or ``error``.
    """
    try:
        return _cut_and_convert(Path(model), Path(params), Path(folder), int(opset))
    except _RefusedError as error:
        return {"refused": str(error)}
    except Exception as error:  # noqa: BLE001  (whatever Paddle raises is told)
        return {"error": f"{type(error).__name__}: {' '.join(str(error).split())[-600:]}"}


def predictor(model: str, params: str, threads: str) -> Predictor:
    """Return what answers images with scores."""
    return Predictor(Path(model), Path(params), int(threads))


class _RefusedError(Exception):
    """The program asks for something that no network needs."""


def _cut_and_convert(model: Path, params: Path, folder: Path, opset: int) -> dict[str, Any]:
    import paddle

    paddle.enable_static()
    executor = paddle.static.Executor(paddle.CPUPlace())
    try:
        program, inputs, outputs = _load(model, executor)
    except _RefusedError:
        raise
    except Exception as error:  # noqa: BLE001  (whatever Paddle raises is told)
        return {"unreadable": f"{type(error).__name__}: {' '.join(str(error).split())[-300:]}"}
    report = _describe(inputs, outputs)
    if len(inputs) != 1 or len(outputs) != 1 or len(inputs[0].shape) != _IMAGE:
        return report
    cut = folder / "cut"
    whole = Predictor(model, params)
    for resize in (True, False):
        tail = _tail(outputs[0], with_resize=resize)
        scores = tail.pop("scores")
        paddle.static.save_inference_model(str(cut), inputs, [scores], executor, program=program)
        if _agrees(whole, Predictor(cut.with_suffix(".json"), cut.with_suffix(".pdiparams")), tail, inputs[0].shape):
            break
    else:
        report["error"] = "what its last operators make of the scores is not understood"
        return report
    if len(scores.shape) != _IMAGE or "FLOAT" not in str(scores.dtype).upper():
        return report
    report["tail"] = tail
    if _spell_out_pools(program):
        cut = folder / "convertible"
        paddle.static.save_inference_model(str(cut), inputs, [scores], executor, program=program)
    _convert(cut, folder / "model.onnx", opset)
    return report


def _load(model: Path, executor: Any) -> tuple[Any, list[Any], list[Any]]:
    """The program in Paddle 3's form, and the values it takes and returns."""
    import paddle

    prefix = str(model.with_suffix(""))
    if model.suffix == ".json":
        program, _, outputs = paddle.static.load_inference_model(prefix, executor)
        _refuse_foreign(_operators(program.global_block()))
    else:
        with paddle.pir_utils.OldIrGuard():
            old, _, _ = paddle.static.load_inference_model(prefix, executor)
            _refuse_foreign([op.type for block in old.blocks for op in block.ops])
        program = paddle.pir.translate_to_pir(old.desc)
        _load_parameters(program, executor)
        outputs = [op.operand_source(0) for op in program.global_block().ops if op.name() == "pd_op.fetch"]
    inputs = [op.result(0) for op in program.global_block().ops if op.name() in {"pd_op.data", "pd_op.feed"}]
    return program, inputs, list(outputs)


def _load_parameters(program: Any, executor: Any) -> None:
    """Tell Paddle that the parameters of a translated program are those it has loaded under their names."""
    import paddle

    parameters = [op.result(0) for op in program.global_block().ops if op.name() == "builtin.parameter"]
    scope = paddle.base.executor.global_scope()
    paddle.base.libpaddle.pir.create_loaded_parameter(parameters, scope, executor._default_executor)  # noqa: SLF001


def _operators(block: Any) -> list[str]:
    """Names of all operators, those of branches and loops included."""
    names = []
    for op in block.ops:
        names.append(op.name())
        for inner in op.blocks():
            names += _operators(inner)
    return names


def _refuse_foreign(names: list[str]) -> None:
    bad = sorted(
        {
            name
            for name in names
            if _FORBIDDEN.fullmatch(name.rpartition(".")[2]) or ("." in name and not name.startswith(_DIALECTS))
        }
    )
    if bad:
        raise _RefusedError(f"it holds operators that do more than compute: {', '.join(bad)[:200]}")


def _describe(inputs: list[Any], outputs: list[Any]) -> dict[str, Any]:
    def shown(value: Any) -> dict[str, Any]:
        return {"shape": list(value.shape), "dtype": str(value.dtype).rpartition(".")[2].lower()}

    return {"inputs": [shown(value) for value in inputs], "outputs": [shown(value) for value in outputs]}


def _tail(value: Any, *, with_resize: bool) -> dict[str, Any]:
    """What follows the scores: argmax, softmax, and the resize to the input's size."""
    found: dict[str, Any] = {"argmax": False, "softmax": False, "resize": None}
    last = value
    while _name(last) in {"cast", "squeeze", "assign"}:
        last = _source(last)
    if _name(last) == "argmax" and _source(last, 1).get_defining_op().attrs().get("value") in {1, -3}:
        found["argmax"], value = True, _source(last)
    if _name(value) == "softmax" and value.get_defining_op().attrs().get("axis") in {1, -3}:
        found["softmax"], value = True, _source(value)
    if _name(value) == "bilinear_interp" and with_resize:
        attributes = value.get_defining_op().attrs()
        # Resizing pixel by pixel without half a pixel's offset is something that torch does not know.
        if attributes["data_format"] == "NCHW" and (attributes["align_corners"] or attributes["align_mode"] == 0):
            found["resize"], value = {"align_corners": bool(attributes["align_corners"])}, _source(value)
    return found | {"scores": value}


def _name(value: Any) -> str:
    name: str = value.get_defining_op().name().rpartition(".")[2]
    return name


def _source(value: Any, index: int = 0) -> Any:
    return value.get_defining_op().operand_source(index)


def _agrees(whole: Predictor, cut: Predictor, tail: dict[str, Any], shape: Any) -> bool:
    """Whether the scores, resized and decided, are what the whole program returns, at sizes it takes."""
    import numpy as np

    agreed, refusal = 0, ""
    for height, width in _PROBES:
        sides = [given if given > 0 else free for given, free in zip(shape, (1, 3, height, width), strict=True)]
        image = np.random.default_rng(0).normal(size=sides).astype(np.float32)
        try:
            expected = whole(image)
        except Exception as error:  # noqa: BLE001  (a size that the network does not take)
            refusal = f"{sides}: {' '.join(str(error).split())[-300:]}"
            continue
        if not _equal(_with_tail(cut(image), tail, sides[2:]), expected):
            return False
        agreed += 1
        if agreed == _ENOUGH or -1 not in shape[2:]:
            break
    if not agreed:
        raise RuntimeError(f"it runs on none of several images, the last of {refusal}")
    return True


def _with_tail(scores: Any, tail: dict[str, Any], size: list[int]) -> Any:
    import paddle
    import paddle.nn.functional as F

    paddle.disable_static()
    values = paddle.to_tensor(scores)
    if tail["resize"] is not None:
        values = F.interpolate(values, size, mode="bilinear", align_corners=tail["resize"]["align_corners"])
    if tail["softmax"]:
        values = F.softmax(values, axis=1)
    if tail["argmax"]:
        values = paddle.argmax(values, axis=1)
    paddle.enable_static()
    return values.numpy()


def _equal(found: Any, expected: Any) -> bool:
    import numpy as np

    if expected.dtype.kind in "iu":
        return bool(found.size == expected.size and (found.ravel() == expected.ravel()).mean() >= _TIES)
    return bool(found.shape == expected.shape and np.abs(found - expected).max() <= _NOISE * np.abs(expected).max())


def _spell_out_pools(program: Any) -> bool:
    """Put means of slices where means over parts of an image are, at which paddle2onnx aborts.

    Returns:
        Whether there were some.
    """
    import paddle

    pools = [op for op in program.global_block().ops if _is_of_parts(op)]
    with paddle.static.program_guard(program):
        for op in pools:
            paddle.base.libpaddle.pir.set_insertion_point(op)
            value = op.operand_source(0)
            for axis in (2, 3):  # a window's mean is that of its rows, and then of its columns
                value = _means(value, axis, op.result(0).shape[axis])
            op.result(0).replace_all_uses_with(value)
        paddle.base.libpaddle.pir.reset_insertion_point_to_end()
    return bool(pools)


def _is_of_parts(op: Any) -> bool:
    """Whether an operator takes means over a fixed number of parts, however large the image is."""
    if op.name() != "pd_op.pool2d":
        return False
    attributes, parts = op.attrs(), list(op.result(0).shape)[2:]
    averages = attributes["adaptive"] and attributes["pooling_type"] == "avg" and attributes["data_format"] == "NCHW"
    return bool(averages and min(parts) > 0 and max(parts) > 1)


def _means(value: Any, axis: int, count: int) -> Any:
    """Means over ``count`` parts of an axis; where it cannot be divided evenly, neighbours share what lies between."""
    import paddle

    length = value.shape[axis] if value.shape[axis] > 0 else paddle.shape(value)[axis]
    means = []
    for part in range(count):
        begin, end = length * part // count, (length * (part + 1) + count - 1) // count
        means.append(paddle.mean(paddle.slice(value, [axis], [begin], [end]), axis, keepdim=True))
    return paddle.concat(means, axis)


def _convert(cut: Path, file: Path, opset: int) -> None:
    import paddle2onnx

    paddle2onnx.export(
        f"{cut}.json",
        f"{cut}.pdiparams",
        str(file),
        opset_version=opset,
        auto_upgrade_opset=False,
        verbose=False,
        optimize_tool="None",  # the default one installs packages while it runs
    )


class Predictor:
    """A program run by Paddle Inference: no oneDNN and no sharing of memory, which both fail in Paddle 3.3.1.

    Args:
        model: Program.
        params: Its parameters.
        threads: Of its arithmetic.
    """

    def __init__(self, model: Path, params: Path, threads: int = 1) -> None:
        from paddle import inference

        config = inference.Config(str(model), str(params))
        config.disable_gpu()
        config.disable_mkldnn()
        config.disable_glog_info()
        config.enable_memory_optim(False)  # noqa: FBT003
        config.set_cpu_math_library_num_threads(threads)
        self._predictor = inference.create_predictor(config)

    def __call__(self, image: Any) -> Any:
        """The program's only output for float32 ``image``."""
        predictor = self._predictor
        handle = predictor.get_input_handle(predictor.get_input_names()[0])
        handle.reshape(image.shape)
        handle.copy_from_cpu(image)
        predictor.run()
        return predictor.get_output_handle(predictor.get_output_names()[0]).copy_to_cpu()
