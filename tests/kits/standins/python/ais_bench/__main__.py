"""Stands in for ais_bench: the documented command line, names of files and summary; $BENCH_DOES=fail."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path

import numpy as np
import onnxruntime

parser = argparse.ArgumentParser("ais_bench", allow_abbrev=False)
parser.add_argument("--model", required=True)
for name in ("input", "output", "output_dirname", "dymBatch", "dymHW"):
    parser.add_argument(f"--{name}")
parser.add_argument("--outfmt", default="BIN", choices=("NPY", "BIN", "TXT"))
for name, default in (("loop", 1), ("batchsize", None), ("warmup_count", 1), ("device", 0), ("outputSize", None)):
    parser.add_argument(f"--{name}", type=int, default=default)
given = parser.parse_args()
does = os.environ.get("BENCH_DOES", "")
if does == "fail":
    print("[ERROR] load model from file failed, modelPath is", given.model, "ret 500002")
    sys.exit(1)
session = onnxruntime.InferenceSession(given.model)
batch = session.get_inputs()[0].shape[0]
batch = batch if isinstance(batch, int) else int(given.dymBatch or 1)
if given.batchsize is not None and given.batchsize != batch:
    print(f"[ERROR] batchsize {given.batchsize} is not the model's {batch}")
    sys.exit(1)
shape = [batch, *session.get_inputs()[0].shape[1:]]
if given.dymHW:
    shape[2:] = map(int, given.dymHW.split(","))
files = sorted(path for path in Path(given.input).iterdir() if path.suffix in {".bin", ".npy"}) if given.input else []
kept, times = {}, []
for start in range(0, max(len(files), 1), batch):
    part = files[start : start + batch]
    images = [np.fromfile(path, np.float32).reshape(1, *shape[1:]) for path in part]
    padded = np.concatenate(images + [np.zeros((1, *shape[1:]), np.float32)] * (batch - len(images)))
    begin = time.perf_counter()
    found = session.run(None, {session.get_inputs()[0].name: padded})[0]
    times.append((time.perf_counter() - begin) * 1000)
    kept |= {path.name.split(".")[0]: found[number : number + 1] for number, path in enumerate(part)}
if given.output:
    if not Path(given.output).is_dir():
        print("[ERROR] output path does not exist")
        sys.exit(1)
    folder = Path(given.output) / given.output_dirname
    folder.mkdir(exist_ok=True)
    for name, value in kept.items():
        path = folder / f"{name}_0.{given.outfmt.lower()}"
        if given.outfmt == "NPY":
            np.save(path, value)
        elif given.outfmt == "TXT":
            np.savetxt(path, value.reshape(-1, value.shape[-1]), fmt="%f")
        else:
            value.tofile(path)
mean = float(np.mean(times))
if given.output:
    samples = {
        str(number): {
            "infiles": [str(file)],
            "outfiles": [str(folder / f"{file.name.split('.')[0]}_0.{given.outfmt.lower()}")],
        }
        for number, file in enumerate(files)
    }
    summary = {
        "filesinfo": samples,
        "args": sys.argv,
        "NPU_compute_time": {"mean": mean, "count": len(times)},
        "throughput": 1000 * batch / mean,
        "npu_compute_time_list": times,
    }
    (Path(given.output) / f"{given.output_dirname}_summary.json").write_text(json.dumps(summary))
print("[INFO] -----------------Performance Summary------------------")
print(f"[INFO] NPU_compute_time (ms): min = {min(times)}, max = {max(times)}, mean = {mean}, median = {mean}")
print(f"[INFO] throughput 1000*batchsize.mean({batch})/NPU_compute_time.mean({mean}): {1000 * batch / mean}")
print("[INFO] ------------------------------------------------------")
