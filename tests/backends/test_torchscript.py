"""A TorchScript package in a program that has no Python in it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

import segship
from segship.backends import torchscript as backend
from segship.core.manifest import read_manifest

ASSETS = Path(segship.__file__).parent / "assets" / "demo"
PROGRAM = """
#include <torch/script.h>
#include <cstdlib>
#include <fstream>
#include <vector>

// MODEL IN OUT HEIGHT WIDTH: raw float32 files.
int main(int, char** given) {
  auto module = torch::jit::load(given[1]);
  const long height = std::atol(given[4]), width = std::atol(given[5]);
  std::vector<float> image(3 * height * width);
  std::ifstream(given[2], std::ios::binary).read(reinterpret_cast<char*>(image.data()), image.size() * sizeof(float));
  torch::InferenceMode guard;
  auto logits = module.forward({torch::from_blob(image.data(), {1, 3, height, width})}).toTensor().contiguous();
  std::ofstream out(given[3], std::ios::binary);
  out.write(static_cast<const char*>(logits.const_data_ptr()), logits.nbytes());
  return out ? 0 : 1;
}
"""


@pytest.mark.slow
def test_a_package_runs_from_cpp(tmp_path: Path) -> None:
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("no C++ compiler is installed here: g++")
    config, weights = ASSETS / "fast_scnn_scenes.py", ASSETS / "fast_scnn_scenes.pth"
    package = segship.export(config, weights, tmp_path / "package", target="torchscript_dynamic").path
    engine = read_manifest(package).engine(package)
    height, width = 97, 130
    image = np.random.default_rng(0).normal(size=(1, 3, height, width)).astype(np.float32)
    image.tofile(tmp_path / "image")
    (tmp_path / "run.cpp").write_text(PROGRAM, encoding="utf-8")
    include, libraries = (Path(torch.__file__).parent / name for name in ("include", "lib"))
    headers = [f"-I{include}", f"-I{include / 'torch/csrc/api/include'}"]
    linked = [f"-L{libraries}", f"-Wl,-rpath,{libraries}", "-ltorch", "-ltorch_cpu", "-lc10"]
    abi = f"-D_GLIBCXX_USE_CXX11_ABI={int(torch.compiled_with_cxx11_abi())}"
    program = str(tmp_path / "run")
    subprocess.run(
        [compiler, "-std=c++20", "-O0", "-w", abi, *headers, str(tmp_path / "run.cpp"), *linked, "-o", program],
        check=True,
    )
    arguments = [package / engine.files[0], tmp_path / "image", tmp_path / "logits", height, width]
    subprocess.run([program, *map(str, arguments)], check=True)
    expected = backend.open(engine).run({"image": image})["logits"]
    found = np.fromfile(tmp_path / "logits", np.float32).reshape(expected.shape)
    assert np.abs(found - expected).max() < 1e-5 * np.abs(expected).max()
