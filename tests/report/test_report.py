"""Reports: what is made, what is kept, what the page shows."""

from __future__ import annotations

import csv
import html
import io
import json
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from segship import deploy, load_network
from segship import report as reports
from segship.core.errors import BackendError, InputError, SegshipError
from segship.evaluation import Data, Job
from segship.report import make
from segship.report.page import page
from segship.report.plot import Point, scatter, ticks
from segship.report.reliability import diagram
from segship.report.results import ORIGINAL, Report, Store, TargetResult, rows
from segship.report.tables import as_csv, as_markdown
from segship.sources import Source
from support import fill
from support.trained import META, write_trained

TARGETS = ("onnxruntime_dynamic", "onnxruntime_static-64x96", "nosuch_dynamic")


@pytest.fixture(scope="module")
def request_(tmp_path_factory: pytest.TempPathFactory) -> reports.Request:
    folder = tmp_path_factory.mktemp("report")
    config, checkpoint = write_trained(folder)
    random = np.random.default_rng(0)
    for name in ("images", "labels"):
        (folder / "data" / name).mkdir(parents=True)
    for number in range(4):
        cells = random.integers(0, 4, (3, 4), np.uint8)
        truth = cv2.resize(cells, (90, 60), interpolation=cv2.INTER_NEAREST)
        image = np.repeat((truth * 60)[:, :, None], 3, 2) + random.integers(0, 40, (60, 90, 3), np.uint8)
        cv2.imwrite(str(folder / f"data/images/{number}.png"), image)
        cv2.imwrite(str(folder / f"data/labels/{number}.png"), truth)
    return reports.Request(
        Source(config, checkpoint),
        Data.layout("folder", folder / "data"),
        TARGETS,
        folder / "out",
        timing=reports.Timing((1, 2), 0.0),
        pictures=2,
        calibration=folder / "data" / "images",
        calibration_labels=folder / "data" / "labels",
    )


@pytest.fixture(scope="module")
def found(request_: reports.Request) -> Report:
    return reports.make_report(request_)


@pytest.mark.slow
def test_every_target_is_exported_verified_evaluated_and_timed(found: Report) -> None:
    assert [one.name for one in found.candidates] == [ORIGINAL, *TARGETS]
    original, dynamic, static, unknown = found.candidates
    assert original.size is None
    assert dynamic.labels_equal is not None
    assert dynamic.labels_equal > 0.999
    assert abs(dynamic.evaluation["mIoU"] - original.evaluation["mIoU"]) < 0.1
    assert sorted(dynamic.timings) == [1, 2]
    assert dynamic.timings[2]["images_per_second"] > 0
    assert "error" in static.timings[2]
    assert dynamic.calibration is not None
    assert dynamic.calibration["engine"]["before"]["bins"]
    assert unknown.error is not None
    assert "nosuch" in unknown.error
    assert all(len(one.samples) == 2 for one in (original, dynamic, static))


SIX_BANDS = """
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(type='SegDataPreProcessor', mean=[1000.] * 6, std=[500.] * 6),
    backbone=dict(type='UNet', in_channels=6, base_channels=4, norm_cfg=dict(type='BN')),
    decode_head=dict(type='FCNHead', in_channels=4, in_index=4, channels=4, num_convs=1, concat_input=False,
        num_classes=3, norm_cfg=dict(type='BN')))
test_pipeline = [dict(type='LoadSingleRSImageFromFile'), dict(type='PackSegInputs')]
"""


@pytest.mark.slow
def test_a_network_of_six_bands_is_reported(tmp_path: Path) -> None:
    config, checkpoint = tmp_path / "six.py", tmp_path / "six.pth"
    config.write_text(SIX_BANDS)
    torch.save({"state_dict": fill.fill_network(load_network(config)).state_dict()}, checkpoint)
    random = np.random.default_rng(0)
    for name in ("images", "labels"):
        (tmp_path / "data" / name).mkdir(parents=True)
    for number in range(2):
        np.save(tmp_path / f"data/images/{number}.npy", random.integers(0, 2000, (32, 48, 6), np.uint16))
        cv2.imwrite(str(tmp_path / f"data/labels/{number}.png"), random.integers(0, 3, (32, 48), np.uint8))
    request = reports.Request(
        Source(config, checkpoint),
        Data.layout("folder", tmp_path / "data"),
        ("onnxruntime_dynamic",),
        tmp_path / "out",
        timing=reports.Timing(duration=0.0),
        pictures=1,
    )
    found = reports.make_report(request)
    assert [one.evaluation["images"] for one in found.candidates] == [2, 2]
    assert found.candidates[1].timings[1]["images_per_second"] > 0
    assert len(found.samples) == len(found.candidates[1].samples) == 1


@pytest.mark.slow
def test_what_was_made_is_not_made_again(
    request_: reports.Request, found: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("made again")

    monkeypatch.setattr(deploy, "export", refuse)
    monkeypatch.setattr(make, "evaluate_job", refuse)
    monkeypatch.setattr("segship.report.masks._draw_all", refuse)
    only = replace(request_, targets=TARGETS[:2])
    again = reports.make_report(only)
    assert again.candidates[1].timings == found.candidates[1].timings
    assert again.candidates[2].evaluation == found.candidates[2].evaluation


@pytest.mark.slow
def test_one_target_is_made_again_alone(request_: reports.Request, found: Report) -> None:
    told: list[str] = []
    again = replace(request_, targets=TARGETS[:2], redo=(TARGETS[1],))
    made = reports.make_report(again, progress=told.append)
    assert {line.partition(":")[0] for line in told if ":" in line} == {TARGETS[1]}
    assert made.candidates[1].timings == found.candidates[1].timings


@pytest.mark.slow
def test_a_damaged_package_is_exported_again(request_: reports.Request, found: Report) -> None:
    assert found.candidates[1].error is None
    package = request_.package(TARGETS[0])
    (package / "model.onnx").write_bytes(b"damaged")
    only = replace(request_, targets=TARGETS[:1], timing=reports.Timing((1,), 0.0))
    made = reports.make_report(only)
    assert made.candidates[1].error is None
    assert (package / "model.onnx").stat().st_size > 100


@pytest.mark.slow
def test_a_target_that_is_none_is_told_at_once(request_: reports.Request, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not a target"):
        reports.make_report(replace(request_, targets=("x",), to=tmp_path))


def test_kept_results_survive_damage_and_errors_are_not_kept(tmp_path: Path) -> None:
    store = Store(tmp_path)

    def fail() -> dict[str, object]:
        raise BackendError("no engine")

    assert store.cached("a/b", "x", [1], fail) == {"error": "no engine"}
    assert store.get("a/b", "x", [1]) is None
    store.put("a/b", "x", [1], {"value": 2})
    assert store.get("a/b", "x", [1]) == {"value": 2}
    assert store.get("a/b", "x", [2]) is None
    (tmp_path / "a_b" / "x.json").write_text("{")
    assert store.get("a/b", "x", [1]) is None


BINS = [{"confidence": 0.75, "accuracy": 0.5, "pixels": 40}, {"confidence": 0.95, "accuracy": 0.9, "pixels": 60}]
FIT = {
    "precision": "int8",
    "temperatures": [2.5],
    "before": {"ece": 0.13, "nll": 1.0, "bins": BINS},
    "after": {"ece": 0.01, "nll": 0.9, "bins": BINS[:1]},
}
CALIBRATION = {"images": 3, "pixels": 100, "engine": FIT, "network": FIT | {"temperatures": [1.5, 2.0]}}


def toy(tmp_path: Path) -> Report:
    picture = tmp_path / "p.jpg"
    picture.write_bytes(b"jpeg")
    classes = [{"name": "a", "IoU": 60.0}, {"name": "b", "IoU": None}]
    timing = {"input": (8, 9), "latency": {"p50": 5.0, "p99": 9.0}, "images_per_second": 200.0, "memory": 100.0}
    return Report(
        title="Net <b>",
        files=("c.py", "w.pth"),
        data="toys, 3 images",
        classes=("<i>road</i>", "b|c"),
        candidates=(
            TargetResult(
                ORIGINAL,
                {"aAcc": 80.0, "mIoU": 60.0, "mAcc": 70.0, "classes": classes},
                {1: timing},
                samples=(picture,),
            ),
            TargetResult(
                "x-int8_dynamic",
                {"aAcc": 80.0, "mIoU": 57.5, "mAcc": 70.0, "classes": [{"IoU": 57.5}, {"IoU": 1.0}]},
                {1: timing, 4: timing | {"images_per_second": 400.0}},
                size=2_500_000,
                failures=("mIoU fell by 2.5",),
                samples=(picture,),
                calibration=CALIBRATION,
            ),
            TargetResult("y_dynamic", error="not here"),
        ),
        machine={
            "processors": 2,
            "processor": "P & Q",
            "load": 0.5,
            "segship": "9.9",
            "python": "3.99",
            "engines": {"net<x>": "1.5"},
        },
        when="today",
        samples=(("s", picture, picture),),
        palette=((1, 2, 3), (4, 5, 6)),
    )


def test_table_has_a_row_for_each_target_and_batch(tmp_path: Path) -> None:
    table = rows(toy(tmp_path))
    assert [(row["target"], row["batch"]) for row in table] == [
        (ORIGINAL, 1),
        ("x-int8_dynamic", 1),
        ("x-int8_dynamic", 4),
        ("y_dynamic", None),
    ]
    assert table[0]["delta_mIoU"] is None
    assert table[1]["delta_mIoU"] == -2.5
    assert table[1]["size_MB"] == 2.5
    assert [row["note"] for row in table] == ["", "mIoU fell by 2.5", "mIoU fell by 2.5", "not here"]
    parsed = list(csv.DictReader(io.StringIO(as_csv(toy(tmp_path)))))
    assert parsed[2]["images_per_second"] == "400.0"
    assert parsed[3]["mIoU"] == ""


def test_markdown_has_both_tables(tmp_path: Path) -> None:
    text = as_markdown(toy(tmp_path))
    assert "| x-int8_dynamic | 4 | 8x9 | 80.00 | 57.50 | 70.00 | -2.50 | 400.0 |" in text
    assert "| b\\|c |  | 1.00 |" in text


class Reader(HTMLParser):
    """Collects sources and text, and refuses what is not closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.sources: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.sources += [value or "" for name, value in attrs if name in {"src", "href"}]
        if tag not in {"meta", "img", "wbr"}:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def test_page_needs_no_other_file_and_is_well_formed(tmp_path: Path) -> None:
    reader = Reader()
    reader.feed(page(toy(tmp_path)))
    reader.close()
    assert not reader.open
    assert len(reader.sources) == 4
    assert all(source.startswith("data:image/jpeg;base64,") for source in reader.sources)
    text = "".join(reader.text)
    for words in (
        "<i>road</i>",
        "Net <b>",
        "2 x P & Q",
        "not here",
        "mIoU fell by 2.5",
        "-2.50",
        "Segship 9.9, Python 3.99, net<x> 1.5",
    ):
        assert words in text
    assert "background:rgb(4, 5, 6)" in page(toy(tmp_path))


def test_the_page_tells_how_reliable_scores_are_before_and_after(tmp_path: Path) -> None:
    told = page(toy(tmp_path))
    assert "<td>x-int8_dynamic</td><td>3</td><td>2.500</td><td>13.00%</td><td>1.00%</td>" in told
    assert "<td>x-int8_dynamic: the network in fp32</td><td>3</td><td>1.500-2.000</td>" in told
    drawn = diagram("x", FIT)
    assert 'points="194.0,144.0 234.0,64.0"' in drawn  # of 200 pixels from 44 on: right and up
    assert drawn.count("<circle") == 3
    assert "before: 90.0% of 60 labels right at 95.0%" in drawn
    assert "Reliability" not in page(replace(toy(tmp_path), candidates=toy(tmp_path).candidates[::2]))


def test_a_drop_has_the_colour_of_its_size(tmp_path: Path) -> None:
    assert 'style="background:rgba(213,94,0,0.375)">-2.50' in page(toy(tmp_path))  # half of five points


def test_points_stand_where_their_figures_say() -> None:
    assert ticks(0, 10) == [0, 2, 4, 6, 8, 10]
    assert ticks(61.2, 61.9) == [61.2, 61.4, 61.6, 61.8, 62.0]
    drawn = scatter([Point("a", 1, 0, 0.0, 50.0), Point("<b>", 4, 1, 100.0, 50.0)])
    assert 'cx="84.0"' in drawn  # no images a second: on the axis
    assert "&lt;b&gt;, batch 4: mIoU 50.00, 100.0 images/s" in drawn
    assert scatter([]) == ""


def test_the_device_is_told_only_where_it_is_not_the_processor(tmp_path: Path) -> None:
    one = toy(tmp_path)
    first, second, third = one.candidates
    on_cpu = replace(one, candidates=(replace(first, device="cpu"), replace(second, device="cpu"), third))
    assert "device" not in as_markdown(on_cpu)
    assert "<th>device</th>" not in page(on_cpu)
    elsewhere = replace(one, candidates=(replace(first, device="cpu"), replace(second, device="cuda:0"), third))
    assert "| x-int8_dynamic | cuda:0 | 4 |" in as_markdown(elsewhere)
    assert "<td>cuda:0</td>" in page(elsewhere)


def asking(tmp_path: Path, devices: tuple[str, ...], targets: tuple[str, ...]) -> reports.Request:
    return reports.Request(Source("c.py"), Data.layout("folder", "d"), targets, tmp_path, devices=devices)


def test_devices_are_for_all_engines_or_for_one(tmp_path: Path) -> None:
    targets = ("onnxruntime_dynamic", "tensorrt-fp16_dynamic", "openvino_dynamic")

    def chosen(*devices: str) -> list[str]:
        request = asking(tmp_path, devices, targets)
        request.check()
        return [request.device(name) for name in (ORIGINAL, *targets)]

    assert chosen("openvino=gpu", "cuda:1") == ["cpu", "cuda:1", "cuda:1", "gpu"]
    assert chosen("tensorrt=cuda:1")[:3] == ["cpu", "cpu", "cuda:1"]
    assert chosen()[1] == chosen()[3] == "cpu"
    assert chosen()[2].startswith("cuda")  # it has no other


def test_a_device_for_an_engine_that_is_not_asked_for_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a device is given for tensort, but the targets are of onnxruntime"):
        asking(tmp_path, ("tensort=cuda",), ("onnxruntime_dynamic",)).check()


@pytest.mark.slow
def test_a_device_that_is_not_here_is_told_in_its_row(request_: reports.Request, found: Report) -> None:
    assert found.candidates[1].device == "cpu"
    again = replace(request_, targets=TARGETS[:1], devices=("cann",))
    made = reports.make_report(again)
    assert [row["device"] for row in rows(made)][-1] == "cann"
    assert "has no cann support" in rows(made)[-1]["note"]
    assert made.candidates[0].timings == found.candidates[0].timings


@pytest.mark.slow
def test_files_are_written(found: Report, tmp_path: Path) -> None:
    paths = reports.write_report(found, tmp_path)
    assert sorted(paths) == ["csv", "html", "json", "md"]
    assert json.loads(paths["json"].read_text())["classes"] == list(META["classes"])
    assert paths["html"].read_text().startswith("<!doctype html>")


@pytest.mark.slow
@pytest.mark.parametrize("width", [360, 1280])
def test_page_fits_a_phone_and_a_desktop(found: Report, tmp_path: Path, width: int) -> None:
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser is None:
        pytest.skip("no chromium is installed to look at the page with")
    frame = (
        f'<iframe id="f" width="{width}" height="800" style="border:0" srcdoc="{html.escape(page(found))}"></iframe>'
        "<script>f.onload=()=>{const d=f.contentDocument,e=d.documentElement;document.title="
        "'over '+(e.scrollWidth-e.clientWidth)+' pictures '+[...d.images].filter(i=>i.naturalWidth>0).length}</script>"
    )
    (tmp_path / "frame.html").write_text(frame)
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=3000", "--dump-dom"]
    command = [browser, *options, f"--user-data-dir={tmp_path}/profile", (tmp_path / "frame.html").as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=50, check=True)
    pictures = 2 * (2 + 3)  # two samples: image, truth, and the masks of three networks
    assert f"<title>over 0 pictures {pictures}</title>" in done.stdout


@pytest.mark.slow
def test_network_that_cannot_be_evaluated_ends_the_report(
    request_: reports.Request, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise BackendError("it does not run")

    monkeypatch.setattr(make, "evaluate_job", fail)
    with pytest.raises(SegshipError, match="it does not run"):
        reports.make_report(replace(request_, targets=(), to=tmp_path))


def test_rows_of_different_runs_say_so(tmp_path: Path) -> None:
    one = toy(tmp_path)
    first, second, third = one.candidates
    timed = replace(first, timings={1: {**first.timings[1], "run": "Monday, load 0.1"}})
    other = replace(second, timings={1: {**second.timings[1], "run": "Tuesday, load 9.0"}}, failures=("gate",))
    notes = [row["note"] for row in rows(replace(one, candidates=(timed, other, third)))]
    assert notes[0] == "timed on Monday, load 0.1, others in another run"
    assert notes[1] == "gate; timed on Tuesday, load 9.0, others in another run"
    same = replace(other, timings=timed.timings)
    assert rows(replace(one, candidates=(timed, same)))[0]["note"] == ""


def test_a_row_beyond_the_gate_of_int8_says_so(tmp_path: Path) -> None:
    one = toy(tmp_path)
    first, second, _ = one.candidates
    passed = replace(second, failures=())
    assert rows(replace(one, candidates=(first, passed)))[1]["note"] == (
        "mIoU changes by -2.50 points, beyond the gate of 0.5"
    )
    near = replace(passed, evaluation={**second.evaluation, "mIoU": 59.6})
    other = replace(passed, name="x-fp16_dynamic")
    assert [row["note"] for row in rows(replace(one, candidates=(first, near, other)))] == [""] * 5


def test_label_maps_of_calibration_images_need_these(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--calibration-labels are of the images of --calibration FOLDER"):
        replace(asking(tmp_path, (), ("onnxruntime_dynamic",)), calibration_labels=tmp_path).check()


@pytest.mark.slow
def test_an_engine_that_does_not_run_here_leaves_the_others_alone(
    request_: reports.Request, found: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = make.evaluate_job

    def only_others(job: Job, *options: object, **more: object) -> object:
        if "static" in str(job.network.path):
            raise BackendError("another machine is needed")
        return real(job, *options, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(make, "evaluate_job", only_others)
    again = replace(request_, targets=TARGETS[:2], redo=(TARGETS[1],))
    made = reports.make_report(again)
    assert made.candidates[1].timings == found.candidates[1].timings
    assert made.candidates[2].timings == {}
    assert rows(made)[-1]["note"] == "another machine is needed"
