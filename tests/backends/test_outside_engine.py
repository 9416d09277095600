"""Engines of other distributions, in processes that have these: exported to, verified, opened, listed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from segship.backends import backend_names
from support.trained import write_trained

HERE = Path(__file__).parent / "outside_engine"


class Site:
    """A folder that processes have among their packages."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def install(self, name: str, engines: dict[str, str], modules: dict[str, str] | None = None) -> None:
        """A distribution as pip leaves it: its modules, and what its metadata says of it."""
        info = self.folder / f"{name}-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        points = "".join(f"{engine} = {module}\n" for engine, module in engines.items())
        (info / "entry_points.txt").write_text(f"[segship.backends]\n{points}")
        for module, text in (modules or {}).items():
            (self.folder / f"{module}.py").write_text(text)

    def run(self, *arguments: object) -> subprocess.CompletedProcess[str]:
        """Python with ``arguments``."""
        places = [str(self.folder), os.environ.get("PYTHONPATH", "")]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, places)), "COLUMNS": "200"}
        command = [sys.executable, *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)

    def segship(self, *arguments: object) -> str:
        """What ``segship ARGUMENTS`` prints, and it works."""
        done = self.run("-m", "segship", *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def refused(self, *arguments: object) -> str:
        """The only line of an error that ``segship ARGUMENTS`` prints."""
        done = self.run("-m", "segship", *arguments)
        assert done.returncode == 2, done.stdout + done.stderr
        (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
        return line


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path / "site")


@pytest.fixture
def abacus(site: Site) -> Site:
    site.install("abacus-segship", {"abacus": "abacus_segship"})
    shutil.copy(HERE / "abacus_segship.py", site.folder)
    return site


OPEN = """
import sys, numpy, segship
for place in sys.argv[1:]:
    with segship.Segmentor(place) as segmentor:
        mask = segmentor(numpy.zeros((64, 96, 3), numpy.uint8))
    print(segmentor.device, segmentor.manifest.options, mask.shape)
"""


@pytest.mark.slow
def test_an_engine_of_another_distribution_goes_all_the_way(abacus: Site, tmp_path: Path) -> None:
    network, package = write_trained(tmp_path / "trained"), tmp_path / "package"
    target = ["--target", "abacus_static-64x96"]
    assert "verified" in abacus.segship("export", *network, package, *target, "--engine-option", "beads=7")
    manifest = json.loads((package / "manifest.json").read_text())
    assert manifest["target"]["options"] == {"beads": 7}
    assert "passes its gate" in abacus.segship("verify", *network, package)
    done = abacus.run("-c", OPEN, package, package / "model.abacus")  # the file on its own, too
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 2
    for said in done.stdout.splitlines():
        assert said.startswith("host ")
        assert said.endswith("(64, 96)")
    line = abacus.refused("export", *network, package, *target, "--engine-option", "wires=7")
    assert "Abacus has no option 'wires': it takes beads" in line


def test_doctor_lists_it(abacus: Site) -> None:
    report = json.loads(abacus.segship("doctor", "--json"))
    (device,) = report["backends"]["abacus"]["devices"]
    assert (device["name"], device["usable"], device["note"]) == ("host", True, f"NumPy {np.__version__}")
    assert set(report["backends"]) == {*backend_names(), "abacus"}
    assert report["refused_backends"] == {}


BROKEN = {
    "away": ("nowhere", "", "the backend 'away' of strange 1.0 cannot be loaded (No module named 'nowhere')"),
    "raises": ("raising", "1 / 0", "the backend 'raises' of strange 1.0 cannot be loaded (division by zero)"),
    "empty": ("hollow", "", "hollow of strange 1.0 is no backend: it lacks INFO, a BackendInfo, convert, open, probe"),
    "Big": ("hollow", "", "names are lower-case letters and digits"),
    "onnxruntime": ("hollow", "", "which stays Segship's own"),
    "twice": ("hollow", "", "other 1.0 and strange 1.0 each bring a backend called 'twice'"),
}


@pytest.mark.slow
def test_what_is_no_backend_is_told_and_breaks_no_other(abacus: Site, tmp_path: Path) -> None:
    modules = {module: text for module, text, _ in BROKEN.values() if module != "nowhere"}
    abacus.install("strange", {name: module for name, (module, _, _) in BROKEN.items()}, modules)
    abacus.install("other", {"twice": "hollow"})
    report = json.loads(abacus.segship("doctor", "--json"))
    assert set(report["refused_backends"]) == set(BROKEN)
    for name, (_, _, reason) in BROKEN.items():
        assert reason in report["refused_backends"][name]
    assert set(report["backends"]) == {*backend_names(), "abacus"}
    assert "hollow of strange 1.0 is no backend" in " ".join(abacus.segship("doctor").split())
    network = write_trained(tmp_path / "trained")
    for name in ("away", "raises", "empty", "twice"):
        line = abacus.refused("export", *network, tmp_path / "x", "--target", f"{name}_static-64x96")
        assert BROKEN[name][2] in line
    # Segship's own engine of that name is what it always was.
    assert "verified" in abacus.segship("export", *network, tmp_path / "y", "--target", "onnxruntime_static-64x96")
