"""Every command in a network without a way out and with a home of its own: nobody is asked, nothing is left behind."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import typer

from segship.cli.app import app
from support import fill
from support.references import REFERENCES

WATCH = """
import os, sys
def watch(event, arguments):
    if event in {"socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto", "urllib.Request"}:
        with open(os.environ["SEEN"], "a") as file:
            file.write(f"{event} {arguments}\\n")
sys.addaudithook(watch)
from segship.cli import main
main()
"""
# strace sees what libraries in C do; a socket of a family that leaves the machine is enough.
TRACE = ["strace", "-f", "--seccomp-bpf", "-qq", "-e", "trace=socket,connect,sendto", "-o"]
DEMO = Path(__file__).parents[2] / "src" / "segship" / "assets" / "demo"
ASKED_TO = {"zoo download", "tools compare-service"}
"""Commands whose purpose is another machine."""
UNTRIED = {"adopt", "tune"}
"""Commands that take what another one makes, or minutes: they are not run here."""


def alone() -> list[str]:
    """The command that begins a network namespace without a route."""
    unshare = shutil.which("unshare")
    for options in (["-n"], ["-r", "-n"]):
        if unshare and subprocess.run([unshare, *options, "true"], check=False, capture_output=True).returncode == 0:
            return [unshare, *options]
    pytest.skip("network namespaces need unshare and the right to use it")


def begin(home: Path, *words: object, traced: bool = True) -> subprocess.Popen[str]:
    """Start one command there."""
    names = {"PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "PYTHONDONTWRITEBYTECODE"}
    environment = {key: value for key, value in os.environ.items() if key in names}
    environment |= {"HOME": str(home), "SEEN": str(home.parent / "seen")}
    trace = [*TRACE, str(home.parent / "trace")] if traced and shutil.which("strace") else []
    command = [*alone(), *trace, sys.executable, "-c", WATCH, *map(str, words)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, env=environment, text=True, stdout=pipe, stderr=pipe, cwd=home.parent)


def run(home: Path, *words: object) -> str:
    """Run one command; its standard output."""
    process = begin(home, *words)
    said, errors = process.communicate()
    assert process.returncode == 0, errors
    trace = home.parent / "trace"
    calls = trace.read_text() if trace.exists() else ""
    assert not [line for line in calls.splitlines() if "AF_INET" in line], words
    return said


def serve_and_stop(home: Path, package: Path) -> None:
    """Start the service until it says where it listens, and end it."""
    process = begin(home, "serve", package, "--port", "0", traced=False)
    assert process.stdout is not None
    line = process.stdout.readline()
    assert "listening at http://127.0.0.1" in line, line
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert process.returncode in {0, -signal.SIGTERM, 128 + signal.SIGTERM}, errors


def originals(folder: Path) -> Path:
    """Write a checkpoint as timm has it."""
    record = json.loads((REFERENCES / "weights" / "mobilenet_v2.json").read_text())
    torch.save(
        {key: torch.from_numpy(fill.fill(key, tuple(shape))) for key, shape in record["keys"].items()},
        folder / "original.pth",
    )
    return folder / "original.pth"


def answer(packed: Path, to: Path) -> None:
    """Write logits for what was packed, as another program would."""
    to.mkdir()
    for file in packed.rglob("*.bin"):
        pixels = np.fromfile(file, np.float32).reshape(3, -1)
        np.concatenate([pixels, pixels[:1]]).tofile(to / file.name)


def commands(trained: tuple[Path, Path], folder: Path) -> dict[str, tuple[object, ...]]:
    """Every other command, with arguments that make it work; in this order."""
    config, checkpoint = trained
    package, tensors = folder / "package", folder / "tensors"
    (folder / "images").mkdir()
    (folder / "labels").mkdir()
    for number in range(2):
        shutil.copy(DEMO / "images" / f"scene_0{number}.jpg", folder / "images" / f"{number}.jpg")
        shutil.copy(DEMO / "labels" / f"scene_0{number}.png", folder / "labels" / f"{number}.png")
    log = folder / "scalars.json"
    log.write_text(
        '{"lr": 0.01, "loss": 3.5, "iter": 20, "step": 20}\n{"lr": 0.02, "loss": 2.5, "iter": 40, "step": 40}\n'
    )
    data = ("--images", folder / "images", "--labels", folder / "labels")
    return {
        "doctor": (), "export": (*trained, package), "info": (package,), "verify": (*trained, package),
        "predict": (package, folder / "images" / "0.jpg", "--to", folder / "masks"), "evaluate": (package, *data),
        "benchmark": (package, "--duration", "0.1"), "archive": (package, folder / "mar", "--format", "torchserve"),
        "report": (*trained, "--targets", "onnxruntime_dynamic", *data, "--duration", "0.1", "--to", folder / "report"),
        "demo": (folder / "demo",), "zoo list": ("cgnet",), "tools config": (config,), "tools flops": (config,),
        "tools log": (log, "--out", folder / "curves.png"), "tools publish": (checkpoint, folder / "published.pth"),
        "tools convert-weights": (originals(folder), folder / "converted.pth"),
        "tools export-onnx": (config, "--checkpoint", checkpoint, "--output-file", folder / "whole.onnx"),
        "tools export-torchscript": (config, "--checkpoint", checkpoint, "--output-file", folder / "whole.pt"),
        "tools tensors pack": (package, *data, "--to", tensors),
        "tools tensors score": (tensors, folder / "outputs"),
    }  # fmt: skip


def leaves(command: object, path: str = "") -> set[str]:
    """The commands that do something."""
    below = getattr(command, "commands", {})
    return set().union(*(leaves(child, f"{path} {name}".strip()) for name, child in below.items())) if below else {path}


@pytest.mark.slow
def test_no_command_asks_anybody_or_leaves_a_file_outside_the_cache(trained: tuple[Path, Path], tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    cache = Path(json.loads(run(home, "doctor", "--json", "-"))["cache"])
    assert cache.is_relative_to(home)
    calls = commands(trained, tmp_path)
    assert set(calls) | ASKED_TO | UNTRIED | {"serve"} == leaves(typer.main.get_command(app))
    for name, arguments in calls.items():
        run(home, *name.split(), *arguments)
        if name == "tools tensors pack":
            answer(tmp_path / "tensors", tmp_path / "outputs")
    serve_and_stop(home, tmp_path / "package")
    assert not (tmp_path / "seen").exists(), (tmp_path / "seen").read_text()
    left = [path for path in home.rglob("*") if path.is_file() and not path.is_relative_to(cache)]
    assert left == []
