from __future__ import annotations

import json
from pathlib import Path

import pytest

from segship.core.errors import InputError
from segship.tools.log import plot, read_log
from support.commands import refused, segship

MMENGINE = [
    {"lr": 0.01, "loss": 3.5, "decode.loss_ce": 3.5, "iter": 20, "step": 20},
    {"lr": 0.02, "loss": float("nan"), "decode.loss_ce": 2.5, "iter": 40, "step": 40},
    {"aAcc": 90.0, "mIoU": 50.0, "mAcc": 60.0, "step": 40},
    {"lr": 0.01, "loss": 1.5, "decode.loss_ce": 1.5, "iter": 60, "step": 60},
    {"aAcc": 91.0, "mIoU": 55.0, "mAcc": 65.0, "step": 0},
]
OLD = [
    {"env_info": "Python: 3.7", "seed": 0, "exp_name": "fcn.py"},
    {"mode": "train", "epoch": 1, "iter": 50, "lr": 0.01, "loss": 2.0},
    {"mode": "train", "epoch": 1, "iter": 100, "lr": 0.01, "loss": 1.5},
    {"mode": "val", "epoch": 1, "iter": 500, "lr": 0.01, "aAcc": 0.9, "mIoU": 0.5},
    {"mode": "train", "epoch": 2, "iter": 50, "lr": 0.005, "loss": 1.0},
    {"mode": "val", "epoch": 2, "iter": 500, "lr": 0.005, "aAcc": 0.95, "mIoU": 0.6},
]


def write(path: Path, entries: list[dict[str, object]], end: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(entry) + "\n" for entry in entries) + end)
    return path


def test_mmengines_log_is_read(tmp_path: Path) -> None:
    run = read_log(write(tmp_path / "fcn" / "20240101" / "vis_data" / "scalars.json", MMENGINE))
    assert (run.curve("lr").steps, run.curve("lr").values) == ((20, 40, 60), (0.01, 0.02, 0.01))
    assert (run.curve("mIoU").steps, run.curve("mIoU").values) == ((40, 60), (50.0, 55.0))
    assert run.name == "20240101"


def test_a_log_of_0x_is_read_with_its_epochs_end_to_end(tmp_path: Path) -> None:
    run = read_log(write(tmp_path / "20200605_003338.log.json", OLD))
    assert run.curve("loss").steps == (50, 100, 150)
    assert (run.curve("mIoU").steps, run.curve("mIoU").values) == ((100, 150), (50.0, 60.0))
    assert run.name == "20200605_003338"


def test_a_run_that_was_killed_keeps_what_it_noted(tmp_path: Path) -> None:
    run = read_log(write(tmp_path / "killed.json", MMENGINE, end='{"lr": 0.0'))
    assert (run.broken, len(run.curve("lr").steps)) == (1, 3)


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("empty.json", "", "holds no training log"),
        ("other.json", '["a"]\n', "holds no training log"),
        ("train.log", "2024/01/01 INFO", "the .json that lies beside it"),
        ("binary.json", "\udcff", "cannot read"),
    ],
)
def test_what_is_no_log_is_refused(tmp_path: Path, name: str, text: str, expected: str) -> None:
    (tmp_path / name).write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(InputError, match=expected):
        read_log(tmp_path / name)


def test_an_unknown_quantity_is_refused_with_the_near_ones(tmp_path: Path) -> None:
    run = read_log(write(tmp_path / "run.json", MMENGINE))
    with pytest.raises(InputError, match="Did you mean 'mIoU'"):
        run.curve("mIou")


@pytest.mark.parametrize(("name", "head"), [("curves.png", b"\x89PNG"), ("curves.svg", b"<?xml"), ("c.pdf", b"%PDF")])
def test_several_runs_are_drawn_into_one_picture(tmp_path: Path, name: str, head: bytes) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    runs = [read_log(write(tmp_path / f"{run}.json", MMENGINE)) for run in "ab"]
    names = ["loss of a", "mIoU of a", "lr of a", "loss of b", "mIoU of b", "lr of b"]
    out = plot(runs, tmp_path / "new" / name, ["loss", "mIoU", "lr"], legend=names, style="darkgrid", title="two runs")
    assert out.read_bytes().startswith(head)
    if out.suffix == ".svg":
        assert all(f"<!-- {text} -->" in out.read_text() for text in [*names, "two runs", "iteration"])


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"legend": ["one", "two", "three"]}, "3 names are given for 2 curves"),
        ({"style": "darkgird"}, "Did you mean 'darkgrid'"),
        ({"out": "curves.txt"}, "expected .png"),
    ],
)
def test_wrong_options_are_refused(tmp_path: Path, options: dict[str, object], expected: str) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    run = read_log(write(tmp_path / "run.json", MMENGINE))
    chosen = {"out": "curves.png"} | options
    with pytest.raises(InputError, match=expected):
        plot([run], tmp_path / str(chosen.pop("out")), **chosen)


def test_a_real_log_gives_the_figures_that_were_reported(shared: Path) -> None:
    run = read_log(shared / "weights" / "ddrnet_camvid" / "scalars.json")
    assert run.curve("loss").steps[-1] == 2400
    assert run.curve("mIoU").steps[-1] == 2400
    assert run.curve("mIoU").values[-1] == pytest.approx(56.77, abs=5e-3)


def test_the_command_tells_the_best_and_writes_the_curves(tmp_path: Path) -> None:
    log = write(tmp_path / "run.json", MMENGINE)
    done = segship("tools", "log", log, "--keys", "mIoU,mAcc", "--json", tmp_path / "curves.json", torch=False)
    assert done.returncode == 0, done.stderr
    assert "55" in done.stdout
    assert "mAcc" in done.stdout
    assert "aAcc" not in done.stdout
    (found,) = json.loads((tmp_path / "curves.json").read_text())
    assert found["curves"]["mIoU"] == {"steps": [40, 60], "values": [50.0, 55.0]}
    assert "Did you mean 'loss'" in refused(segship("tools", "log", log, "--keys", "losss", torch=False))
