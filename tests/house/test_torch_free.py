from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOMS = [
    "core",
    "vision",
    "metrics",
    "datasets",
    "backends",
    "verification",
    "reading.configs",
    "formats",
    "formats.mmdeploy",
    "toolchains",
    "runtime",
    "evaluation",
    "tools.zoo",
    "cli",
    "cli.app",
]
REFUSE_TORCH = "import sys; sys.modules['torch'] = None; sys.modules['onnx'] = None\n"


@pytest.mark.parametrize("room", ROOMS)
def test_room_imports_where_torch_cannot_be_imported(room: str) -> None:
    code = REFUSE_TORCH + ("" if "cli" in room else "sys.modules['pydantic'] = None\n")  # typer has it
    code += f"import importlib, pkgutil\npackage = importlib.import_module('segship.{room}')\n"
    code += (
        "for module in pkgutil.iter_modules(getattr(package, '__path__', [])):\n"
        "    importlib.import_module(f'{package.__name__}.{module.name}')\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_top_level_import_brings_no_heavy_module() -> None:
    code = (
        "import sys, segship\n"
        "heavy = {'torch', 'onnxruntime', 'cv2', 'numpy', 'pydantic', 'pathlib'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


BASE_ALONE = (
    REFUSE_TORCH + "sys.modules['yaml'] = None; sys.modules['onnx_ir'] = None; sys.modules['requests'] = None\n"
)
CONFIG = "_base_ = './base.py'\nmodel = dict(backbone=dict(depth=101))\n"
BASE = "model = dict(type='EncoderDecoder', backbone=dict(type='ResNet', depth=50))\n"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "base.py").write_text(BASE)
    (tmp_path / "config.py").write_text(CONFIG)
    return tmp_path / "config.py"


def in_base_install(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run Python where only the dependencies of the base install can be imported."""
    command = [sys.executable, "-c", BASE_ALONE + code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def command(*arguments: object) -> subprocess.CompletedProcess[str]:
    return in_base_install("from segship.cli import main; main()", *arguments)


def test_configs_are_printed_and_compared_in_the_base_install(config: Path) -> None:
    done = command("tools", "config", config)
    assert (done.returncode, done.stdout) == (
        0,
        "model = dict(type='EncoderDecoder', backbone=dict(type='ResNet', depth=101))\n",
    ), done.stderr
    done = command("tools", "config", config, "--format", "json", "--cfg-options", "model.backbone.depth=18")
    assert json.loads(done.stdout)["model"]["backbone"]["depth"] == 18
    done = command("tools", "config", "diff", config.with_name("base.py"), config)
    assert (done.returncode, done.stdout) == (1, "- model.backbone.depth = 50\n+ model.backbone.depth = 101\n")


def test_what_needs_more_than_the_base_install_tells_the_pip_line(config: Path) -> None:
    for arguments in (("--graph",), ("--format", "yaml")):
        done = command("tools", "config", config, *arguments)
        assert done.returncode == 2
        assert 'pip install "segship[export]"' in done.stderr
        assert "Traceback" not in done.stderr


def test_a_config_is_merged_for_download_in_the_base_install(config: Path) -> None:
    code = (
        "from pathlib import Path\nfrom segship.tools.zoo import PublishedModel, download\n"
        "folder = Path(sys.argv[1])\n"
        "(folder / 'weights.pth').write_bytes(b'')\n"  # there already: nothing is fetched
        "model = PublishedModel('net', 'family', 'data', {}, 'config.py', 'https://example.org/weights.pth')\n"
        "print(download(model, folder, configs=folder).config.read_text())\n"
    )
    done = in_base_install(code, config.parent)
    assert done.returncode == 0, done.stderr
    assert "depth=101" in done.stdout
    assert "_base_" not in done.stdout


def test_a_deploy_config_is_read_in_the_base_install_and_export_tells_the_pip_line(config: Path) -> None:
    deploy = config.with_name("deploy.py")
    deploy.write_text("backend_config = dict(type='openvino')\nonnx_config = dict(input_shape=[64, 32])\n")
    code = "from segship.deploy import find_target\nprint(find_target(sys.argv[1]))\n"
    assert in_base_install(code, deploy).stdout == "openvino_static-32x64\n"
    done = command("export", config, "weights.pth", config.with_name("out"), "--target", deploy)
    assert done.returncode == 2
    assert 'pip install "segship[export]"' in done.stderr
    assert "Traceback" not in done.stderr
