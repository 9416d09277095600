"""The tables of what chips returned, and the figures of outputs that no package is made of."""

from __future__ import annotations

import csv
import json
import re
import sys
from pathlib import Path

import pytest

import segship
from segship.core.errors import InputError
from segship.core.manifest import read_manifest
from segship.kits import score_kit
from segship.report import chip_rows, read_adopted, write_chips
from segship.report.chips import as_markdown
from segship.report.page import page
from segship.report.results import ORIGINAL, Report, TargetResult
from support.commands import refused
from support.commands import segship as run
from support.standins import PYTHON, run_script


@pytest.fixture(scope="module")
def package(returned: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("adopted") / "package"
    segship.adopt(returned, returned / "engines", made, outputs=returned / "outputs")
    return made


def test_a_report_has_the_tables_of_the_documents(package: Path, tmp_path: Path) -> None:
    done = run("report", "--adopted", package, "--adopted", package, "--to", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    (text, html) = ((tmp_path / "out" / f"report.{suffix}").read_text() for suffix in ("md", "html"))
    network = read_manifest(package).adopted.network  # type: ignore[union-attr]
    assert network is not None
    figures = f"{network.aAcc:.2f} | {network.mIoU:.2f} | {network.mAcc:.2f}"
    assert "| Model | Batch_Size | Shape | Precision | aAcc(%) | mIoU(%) | mAcc |" in text
    assert text.count(f" | 1 | 48x80 | fp32 | {figures} | Ascend310P3 | {network.mIoU:.2f} |  |") == 2
    assert text.count(f" | 3 | 48x80 | fp32 | {figures} | ") == 2
    assert "| Model | Chip | Precision | Batch Size | FPS |" in text
    assert "Ascend310P3: verified on the engine, by what it returned elsewhere" in text
    assert "<th>FPS</th>" in html
    with (tmp_path / "out" / "report.csv").open() as file:
        rows = list(csv.DictReader(file))
    told = json.loads((tmp_path / "out" / "report.json").read_text())["chips"]
    assert [row["batch"] for row in rows] == ["1", "3", "1", "3"]
    assert float(rows[1]["images_per_second"]) == told[1]["images_per_second"] > 0


def test_the_page_of_targets_shows_chips_beside_them(package: Path) -> None:
    rows = chip_rows(read_adopted([package]))
    report = Report("net", ("a.py",), "data", (), (TargetResult(ORIGINAL, {"classes": [1]}),), {}, "now", chips=rows)
    assert "On chips elsewhere" in page(report)
    named = [
        each.model_copy(update={"adopted": each.adopted.model_copy(update={"dataset": "Cityscapes"})})
        for each in read_adopted([package])
        if each.adopted is not None
    ]
    assert as_markdown(chip_rows(named)).count(" | Cityscapes |") == 2
    assert "On chips elsewhere" not in page(Report("net", (), "", (), report.candidates, {}, "now"))


def test_what_no_chip_has_run_is_refused(trained: tuple[Path, Path], tmp_path: Path) -> None:
    own = segship.export(segship.Source(*trained), tmp_path / "own", target="onnxruntime_static-48x80")
    with pytest.raises(InputError, match="was not made of what a chip returned, expected a package of segship adopt"):
        read_adopted([own.path])
    assert chip_rows([own.manifest]) == ()
    assert as_markdown(()) == ""
    assert "give CONFIG CHECKPOINT --targets" in refused(run("report", "--to", tmp_path / "out"))
    assert "no target is named" in refused(run("report", *trained, "--to", tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_outputs_are_evaluated_without_a_package(returned: Path, package: Path, tmp_path: Path) -> None:
    done = run("tools", "tensors", "score", returned, returned / "outputs", "--json", tmp_path / "figures.json")
    assert done.returncode == 0, done.stderr
    batches = json.loads((tmp_path / "figures.json").read_text())["batches"]
    (result, _) = read_manifest(package).adopted.results  # type: ignore[union-attr]
    assert result.figures is not None
    assert list(batches) == ["1", "3"]
    assert batches["1"]["mIoU"] == pytest.approx(result.figures.mIoU)
    assert len(batches["1"]["classes"]) == 4
    alone = score_kit(returned, returned / "outputs" / "result_bs3")
    assert list(alone) == [3]
    assert alone[3].scores.mIoU == pytest.approx(batches["3"]["mIoU"])
    with pytest.raises(InputError, match="cut off"):
        score_kit(returned, returned / "outputs" / "result_bs3", dtype="float64")


def test_a_report_is_written_again(package: Path, tmp_path: Path) -> None:
    adopted = read_adopted([package])
    paths = write_chips(adopted, tmp_path)
    assert {path.name for path in paths.values()} == {f"report.{suffix}" for suffix in ("html", "md", "csv", "json")}
    assert write_chips(adopted, tmp_path) == paths


GUIDES = {
    "ascend": {
        "variant.yml checkpoint.pth": "{config} {weights}",
        "768x768": "48x80",
        "batch=1,4,8,16,32,64": "batch=1,4",
        "--dataset cityscapes data/cityscapes": "--images {images} --labels {labels}",
        "source /usr/local/Ascend/ascend-toolkit/set_env.sh": ":",
    },
    "magicmind": {
        "config.py checkpoint.pth": "{config} {weights}",
        "1024x2048": "48x80",
        "--dataset cityscapes data/cityscapes": "--images {images} --labels {labels}",
        "data/cityscapes/leftImg8bit/train": "{images}",
    },
}

PRECISIONS = {"ascend": ["fp16", "fp16"], "magicmind": ["force_float32", "force_float16", "qint8_mixed_float16"]}


@pytest.mark.slow
@pytest.mark.parametrize("guide", sorted(GUIDES))
def test_a_guides_commands_run_from_the_first_to_the_last(
    guide: str, trained: tuple[Path, Path], pictures: segship.Data, tmp_path: Path
) -> None:
    text = (Path(__file__).parents[2] / "docs" / f"{guide}.md").read_text(encoding="utf-8")
    script = "\n".join(re.findall(r"```bash\n(.*?)```", text, re.DOTALL))
    places = {
        **dict(zip(("config", "weights"), trained, strict=True)),
        "images": pictures.root,
        "labels": Path(str(pictures.root)).with_name("labels"),
    }
    for told, meant in GUIDES[guide].items():
        assert told in script
        script = script.replace(told, meant.format(**places))
    path = tmp_path / "guide.sh"
    path.write_text(f'set -eu\ncd {tmp_path}\nsegship() {{ {sys.executable} -m segship "$@"; }}\n{script}')
    source = str(Path(segship.__file__).parents[1])
    done = run_script(path, PYTHONPATH=f"{PYTHON}:{source}")
    assert done.returncode == 0, done.stdout + done.stderr
    report = (tmp_path / "report" / "report.md").read_text()
    precisions = re.findall(r"^\| [^|]+ \| \d+ \| 48x80 \| (\w+) \|", report, re.MULTILINE)
    assert precisions == PRECISIONS[guide]
    assert "| Batch_Size | Shape | Precision |" in report
    assert "| FPS |" in report
    assert "classes" in json.loads((tmp_path / "figures.json").read_text())["batches"]["1"]
