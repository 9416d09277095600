from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from segship import load_network
from segship.cli.options import read_size
from segship.core.errors import BackendError, InputError, SizeError, UnsupportedError
from segship.tools.flops import count
from segship.tools.flops.network import count_network
from support.commands import refused, segship
from support.manifests import edit_manifest
from support.references import configs
from support.tiny import tiny_network

PSPNET = "pspnet/pspnet_r50-d8_4xb2-40k_cityscapes-512x1024.py"
VARIED = (
    "segformer/segformer_mit-b0_8xb1-160k_cityscapes-1024x1024.py",
    "swin/swin-tiny-patch4-window7-in1k-pre_upernet_8xb2-160k_ade20k-512x512.py",
    "mask2former/mask2former_r50_8xb2-90k_cityscapes-512x1024.py",
    "ccnet/ccnet_r50-d8_4xb2-40k_cityscapes-512x1024.py",
)


def test_pspnet_has_the_figures_that_mmsegmentation_prints() -> None:
    cost = count(configs() / PSPNET, (2048, 1024))
    assert f"{cost.macs / 1e9:.2f} GMac, {cost.params / 1e6:.2f} M" == "1429.68 GMac, 48.98 M"


@pytest.mark.parametrize("config", VARIED)
def test_products_are_what_pytorchs_own_counter_counts(config: str) -> None:
    network = load_network(configs() / config)
    cost = count_network(network, (256, 320))
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network.to("meta")(torch.empty(1, 3, 256, 320, device="meta"))
    assert cost.flops == counter.get_total_flops()


def test_every_number_follows_from_the_formulas() -> None:
    cost = count_network(tiny_network(), (64, 96))
    conv1, conv2, classifier = 32 * 48 * 8 * 27, 16 * 24 * 8 * 72, 16 * 24 * 4 * 32
    biases = 32 * 48 * 8 + 16 * 24 * 8 + 16 * 24 * 4
    norm, relu, poolings = 2 * 32 * 48 * 8, 32 * 48 * 8, 3 * 16 * 24 * 8
    assert cost.total.products == conv1 + conv2 + classifier
    assert cost.macs == conv1 + conv2 + classifier + biases + norm + relu + poolings
    assert cost.params == 8 * 27 + 8 + 16 + 8 * 72 + 8 + 4 * 32 + 4
    assert cost.total.activations == biases
    modules = {module.name: module for module in cost.modules}
    assert modules["backbone.conv2"].macs == conv2 + 16 * 24 * 8
    assert modules["backbone"].macs + modules["decode_head"].macs == cost.macs


def test_counting_leaves_the_network_as_it_is() -> None:
    network = tiny_network()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    count_network(network, (64, 96))
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    assert not network._forward_hooks
    assert not network.backbone._forward_pre_hooks


def test_a_package_costs_what_its_config_costs(trained: tuple[Path, Path], package: Path) -> None:
    of_config, of_package = count(trained[0], (96, 160)), count(package, (96, 160))
    assert of_package.total.products == of_config.total.products
    assert of_package.params == pytest.approx(of_config.params, rel=0.05)
    assert of_package.macs == pytest.approx(of_config.macs, rel=0.05)
    assert set(of_package.by_operator) <= {"Conv", "Gemm", "MatMul"}


def test_a_package_of_another_engine_is_refused(package: Path, tmp_path: Path) -> None:
    copied = Path(shutil.copytree(package, tmp_path / "package"))
    (copied / "model.onnx").rename(copied / "model.xml")
    edit_manifest(copied, lambda values: values.update(files={"model.xml": values["files"]["model.onnx"]}))
    with pytest.raises(UnsupportedError, match="count the config"):
        count(copied)


def test_sizes_that_the_network_does_not_take_are_refused() -> None:
    with pytest.raises(SizeError, match="exactly 640x640"):
        count(configs() / "beit/beit-base_upernet_8xb2-160k_ade20k-640x640.py", (512, 512))


@pytest.mark.parametrize("text", ["", "0x4", "axb", "3x4x5", "-3x5"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="is not a size: height x width"):
        read_size(text)


def test_sizes_are_height_by_width_and_a_single_number_is_a_square() -> None:
    assert (read_size("512x1024"), read_size("768")) == ((512, 1024), (768, 768))


def test_the_command_writes_macs_and_params(trained: tuple[Path, Path], tmp_path: Path) -> None:
    config, _ = trained
    done = segship("tools", "flops", config, "--size", "96x160", "--json", tmp_path / "cost.json")
    assert done.returncode == 0, done.stderr
    figures = json.loads((tmp_path / "cost.json").read_text())
    expected = count(config, (96, 160))
    assert (figures["macs"], figures["params"]) == (expected.macs, expected.params)
    assert "backbone" in done.stdout
    assert "not counted" in done.stdout


def test_without_torch_the_pip_line_is_printed(trained: tuple[Path, Path]) -> None:
    assert 'pip install "segship[export]"' in refused(segship("tools", "flops", trained[0], torch=False))


def test_a_package_is_counted_without_torch(package: Path) -> None:
    done = segship("tools", "flops", package, "--size", "96x160", "--json", "-", torch=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["macs"] == count(package, (96, 160)).macs


def test_an_onnx_file_is_counted_as_its_package(package: Path, tmp_path: Path) -> None:
    file = Path(shutil.copy(package / "model.onnx", tmp_path / "net.onnx"))
    found, expected = count(file, (96, 160)), count(package, (96, 160))
    assert (found.macs, found.params) == (expected.macs, expected.params)
    (tmp_path / "broken.onnx").write_bytes(b"no graph")
    with pytest.raises(BackendError, match=r"broken\.onnx"):
        count(tmp_path / "broken.onnx")
    with pytest.raises(InputError, match="only a config"):
        count(file, cfg_options=["a=1"])


def test_a_network_without_modules_says_what_to_count_instead() -> None:
    network = tiny_network()
    network.onnx_model = lambda: None
    with pytest.raises(UnsupportedError, match=r"count the \.onnx file"):
        count_network(network, (64, 96))
