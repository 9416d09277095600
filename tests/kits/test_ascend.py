"""Ascend: the commands of documents and today's, a kit run by stand-ins, and the package made of what comes back."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import segship
from segship.backends import ascend
from segship.core.errors import BackendError, InputError, VerificationError
from segship.kits import Kit, read_kit
from support.standins import PATH, PYTHON, run_script, seal_outputs, target

OPTIONS = {"soc": "Ascend310P3", "batch": "1,3"}


def copied(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "kit"))


def test_the_commands_are_those_of_the_documents(ascend_kit: Kit) -> None:
    convert, run = ((ascend_kit.folder / name).read_text().replace(" \\\n ", "") for name in ("convert.sh", "run.sh"))
    assert (
        "atc --framework=5 --model=model_bs3.onnx --output=engines/model_bs3 --input_format=NCHW "
        '--input_shape="image:3,3,48,80" --log=error --soc_version=Ascend310P3 --precision_mode=force_fp32'
    ) in convert
    assert (
        "python3 -m ais_bench --model engines/model_bs3.om --input inputs --output outputs --output_dirname result_bs3"
    ) in run
    assert "python3 -m ais_bench --model engines/model_bs3.om --loop 100 --batchsize 3" in run


def test_what_comes_back_becomes_a_package_with_the_chips_figures(
    returned: Path, tmp_path: Path, trained: tuple[Path, Path], pictures: segship.Data
) -> None:
    found = segship.adopt(returned, returned / "engines", tmp_path / "package", outputs=returned / "outputs")
    manifest = segship.Package(tmp_path / "package", found.package.manifest).manifest
    adopted = manifest.adopted
    assert adopted is not None
    assert adopted.sealed
    assert (adopted.images, adopted.inputs) == (5, 9)
    assert [result.batch for result in adopted.results] == [1, 3]
    assert all(result.images_per_second for result in adopted.results)
    own = segship.evaluate(segship.Source(*trained), pictures)  # of the network at its own size, so only near
    assert adopted.network is not None
    assert abs(adopted.network.aAcc - own.scores.aAcc) < 5
    for result in adopted.results:
        assert result.figures is not None
        assert result.figures.mIoU == pytest.approx(adopted.network.mIoU, abs=1e-6)
    assert min(check.labels_equal for check in manifest.checks) > 0.9999
    assert set(manifest.files) == {"model_bs1.om", "model_bs3.om"}


def test_the_package_runs_where_ais_bench_is(
    returned: Path, tmp_path: Path, trained: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(PYTHON))
    engine = returned / "engines" / "model_bs1.om"
    found = segship.adopt(returned, engine, tmp_path / "package", outputs=returned / "outputs")
    assert {result.batch for result in found.package.manifest.adopted.results if result.figures} == {1}  # type: ignore[union-attr]
    reference = segship.export(segship.Source(*trained), tmp_path / "own", target="onnxruntime_static-48x80")
    picture = np.random.default_rng(1).integers(0, 256, (48, 80, 3), np.uint8)
    with segship.Segmentor(found.package) as ours, segship.Segmentor(reference) as theirs:
        assert np.array_equal(ours(picture), theirs(picture))
    for name in [name for name in sys.modules if name.startswith("ais_bench")]:
        monkeypatch.delitem(sys.modules, name)


def write_as(path: Path, form: str) -> None:
    values = np.fromfile(path, np.float32).reshape(1, 4, 6, 10)
    path.unlink()
    if form == "npy":
        np.save(path.with_suffix(".npy"), values)
    else:
        np.savetxt(path.with_suffix(".txt"), values.reshape(-1, 10), fmt="%f", newline=" \n")


@pytest.mark.parametrize("form", ["npy", "txt"])
def test_other_forms_of_output_are_read(form: str, returned: Path, tmp_path: Path) -> None:
    kit = copied(returned, tmp_path)
    for path in (kit / "outputs").rglob("*_0.bin"):
        write_as(path, form)
    seal_outputs(kit)
    found = segship.adopt(kit, kit / "engines", tmp_path / "package", outputs=kit / "outputs")
    assert found.agreement > 0.9999


def swap(first: Path, second: Path) -> None:
    kept = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(kept)


def halve(first: Path, _: Path) -> None:
    np.fromfile(first, np.float32).astype(np.float16).tofile(first)


def cut(first: Path, _: Path) -> None:
    first.write_bytes(first.read_bytes()[:-4])


def break_one(first: Path, _: Path) -> None:
    values = np.fromfile(first, np.float32)
    values[3] = np.nan
    values.tofile(first)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (swap, r"00006\.bin is that of inputs/00007\.bin"),
        (halve, "half as many, as float16 has"),
        (cut, "cut off"),
        (break_one, "NaN or infinity"),
    ],
)
@pytest.mark.parametrize("sealed", [True, False])
def test_bad_outputs_are_refused_whether_their_digests_fit_or_are_not_there(
    change: Callable[[Path, Path], None], reason: str, sealed: bool, returned: Path, tmp_path: Path
) -> None:
    kit = copied(returned, tmp_path)
    change(*(kit / "outputs" / "result_bs3" / f"0000{number}_0.bin" for number in (6, 7)))
    seal_outputs(kit)
    if not sealed:
        (kit / "outputs" / "SHA256SUMS").unlink()
    with pytest.raises(InputError, match=reason):
        segship.adopt(kit, kit / "engines", tmp_path / "package", outputs=kit / "outputs")
    assert not (tmp_path / "package").exists()


def refused(kit: Path, match: str) -> None:
    with pytest.raises(InputError, match=match):
        segship.adopt(kit, kit / "engines", kit.parent / "package", outputs=kit / "outputs")
    assert not (kit.parent / "package").exists()


def test_a_folder_that_was_changed_is_refused(returned: Path, tmp_path: Path) -> None:
    kit = copied(returned, tmp_path)
    path = kit / "outputs" / "result_bs1" / "00004_0.bin"
    data = bytearray(path.read_bytes())
    data[4] ^= 1
    path.write_bytes(data)
    refused(kit, "00004_0.bin was changed since run.sh wrote it")
    path.unlink()
    refused(kit, "lacks result_bs1/00004_0.bin")
    shutil.copyfile(returned / "outputs" / "result_bs1" / "00004_0.bin", path)
    (path.parent / "more.bin").write_bytes(b"1")
    refused(kit, "holds result_bs1/more.bin, which")
    (path.parent / "more.bin").unlink()
    (kit / "engines" / "model_bs1.om").write_bytes(b"another engine")
    refused(kit, "is not the engine that ran")


def test_a_folder_that_is_not_all_of_a_run_is_refused(returned: Path, tmp_path: Path) -> None:
    kit = copied(returned, tmp_path)
    sums = kit / "outputs" / "SHA256SUMS"
    whole = sums.read_text().splitlines(keepends=True)
    for place, what in (("kit.json", "kit.json"), ("engines/", "engines")):
        sums.write_text("".join(line for line in whole if place not in line))
        refused(kit, f"SHA256SUMS lists no {what}")
    sums.unlink()
    log = kit / "outputs" / "time_bs1.log"
    log.write_text("throughput 1000*batchsize.mean(1)/NPU_compute_time.mean(3.55): 1.2.3")
    refused(kit, "time_bs1.log tells no time that can be read")
    log.unlink()
    (kit / "outputs" / "result_bs1_summary.json").write_text("[" * 100_000)
    refused(kit, "result_bs1_summary.json tells no time that can be read")
    (kit / "outputs" / "result_bs1_summary.json").unlink()
    shutil.rmtree(kit / "outputs" / "result_bs3")
    refused(kit, "the engine model_bs3.om has no results")
    sums.mkdir()
    refused(kit, "SHA256SUMS is no file")


def test_engines_and_results_have_to_match(returned: Path, tmp_path: Path) -> None:
    kit = copied(returned, tmp_path)
    engines = [kit / "engines" / f"model_bs{batch}.om" for batch in (1, 3)]
    first = engines[0].read_bytes()
    engines[0].unlink()
    refused(kit, "results for 1 images at once, and no engine of theirs, only model_bs3.om")
    (kit / "outputs" / "SHA256SUMS").unlink()
    refused(kit, "results for 1 images at once, and no engine of theirs, only model_bs3.om")
    for engine in engines:
        engine.write_bytes(first)
    refused(kit, "the engines model_bs1.om and model_bs3.om are the same file")


def test_a_log_that_tells_no_time_is_noted(returned: Path, tmp_path: Path) -> None:
    kit = copied(returned, tmp_path)
    (kit / "outputs" / "time_bs1.log").write_text("it was fast")
    (kit / "outputs" / "result_bs1_summary.json").unlink(missing_ok=True)
    seal_outputs(kit)
    found = segship.adopt(kit, kit / "engines", tmp_path / "untimed", outputs=kit / "outputs")
    assert set(found.speeds) == {3}
    assert any("time_bs1.log tells no time" in note for note in found.package.manifest.notes)
    (kit / "outputs" / "result_bs1_summary.json").write_text('{"throughput": -3}')
    seal_outputs(kit)
    refused(kit, "tells -3 images per second, which none runs")


def test_a_kit_that_was_changed_is_refused(returned: Path, tmp_path: Path) -> None:
    kit = copied(returned, tmp_path)
    (kit / "expected.npz").write_bytes(b"")
    with pytest.raises(InputError, match=r"expected\.npz was changed"):
        segship.adopt(kit, kit / "engines", tmp_path / "package", outputs=kit / "outputs")
    record = kit / "kit.json"
    record.write_text(record.read_text().replace('"images": 5', '"images": 6'))
    with pytest.raises(InputError, match="its digest does not fit"):
        read_kit(kit)


def test_outputs_without_digests_are_noted(returned: Path, tmp_path: Path) -> None:
    kit = copied(returned, tmp_path)
    (kit / "outputs" / "SHA256SUMS").unlink()
    found = segship.adopt(kit, kit / "engines", tmp_path / "package", outputs=kit / "outputs")
    assert any("without digests" in note for note in found.package.manifest.notes)


def test_a_chip_that_computes_something_else_does_not_pass_the_gate(returned: Path, tmp_path: Path) -> None:
    kit = copied(returned, tmp_path)
    (kit / "outputs" / "SHA256SUMS").unlink()
    random = np.random.default_rng(0)
    for path in (kit / "outputs").rglob("*_0.bin"):
        values = np.fromfile(path, np.float32)
        noise = random.standard_normal(values.size).astype(np.float32)
        (values + values.std() * noise / 10).tofile(path)
    with pytest.raises(VerificationError, match="does not agree with the network"):
        segship.adopt(kit, kit / "engines", tmp_path / "package", outputs=kit / "outputs")
    found = segship.adopt(kit, kit / "engines", tmp_path / "package", outputs=kit / "outputs", allow_inexact=True)
    assert found.package.manifest.failures


def test_conversion_errors_are_translated(ascend_kit: Kit, tmp_path: Path) -> None:
    kit = copied(ascend_kit.folder, tmp_path)
    done = run_script(kit / "convert.sh", ATC_DOES="fail")
    assert done.returncode != 0
    said = ascend.explain(done.stdout)
    assert said.startswith("EZ3003: ")
    assert "backbone.stem.conv" in said
    assert "take a newer CANN" in said


@pytest.mark.parametrize(
    ("does", "reason"),
    [
        ("fail", r"Ascend fails \(status 1\): EZ3003: .*backbone\.stem\.conv.*newer CANN"),
        ("nothing", "has written no model_bs1.om"),
        ("hang", "has not finished within 2 seconds and was ended"),
    ],
)
def test_export_runs_atc_where_it_is_on_path(
    does: str, reason: str, trained: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", PATH)
    monkeypatch.setenv("ATC_DOES", does)
    monkeypatch.setenv("SEGSHIP_TOOL_SECONDS", "2")
    with pytest.raises(BackendError, match=reason):
        segship.export(
            segship.Source(*trained), tmp_path / "out", target=target("ascend_static-48x80", soc="Ascend310")
        )
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.iterdir())


def test_without_atc_the_kit_is_named(trained: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(BackendError, match="atc is not on PATH: --kit FOLDER"):
        segship.export(
            segship.Source(*trained), tmp_path / "out", target=target("ascend_static-48x80", soc="Ascend310")
        )


@pytest.mark.parametrize(
    ("text", "options", "reason"),
    [
        ("ascend_static-48x80", {}, "the option soc is needed"),
        ("ascend_static-48x80", {"soc": "310P3"}, "soc=Ascend310P3"),
        ("ascend_static-48x80", OPTIONS | {"precision_mode": "force_fp16"}, "is not fp32"),
        ("ascend_static-48x80", OPTIONS | {"batch": "1,x"}, "expected numbers of images"),
        ("ascend_static-48x80", OPTIONS | {"dynamic_batch_size": "1,4"}, "leave it or the dynamic sizes out"),
        ("ascend_static-48x80", {"soc": "Ascend310", "op_select_implmode": "high_precision"}, "go together"),
        ("ascend_dynamic", {"soc": "Ascend310"}, "dynamic_image_size"),
        ("ascend-int8_static-48x80", {"soc": "Ascend310"}, "AMCT"),
        ("onnxruntime_dynamic", {}, "leave --kit out"),
    ],
)
def test_wrong_options_are_refused_before_anything_is_read(
    text: str, options: dict[str, object], reason: str, tmp_path: Path
) -> None:
    with pytest.raises(BackendError, match=reason):
        segship.export_kit(tmp_path / "there is none.py", tmp_path / "kit", target(text, **options))
