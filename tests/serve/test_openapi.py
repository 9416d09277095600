"""What the service says of itself is what it does: schemathesis asks it all that its OpenAPI allows, and more."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import Client

# OpenAPI cannot say which bytes are an image, nor which outputs and types go together, so that a body which fits the
# schema may still be refused.
CONFIG = """
[parameters]
"path.name" = "one"
"path.version" = "1"

[checks]
positive_data_acceptance.expected-statuses = ["2xx", "400"]
"""


@pytest.mark.slow
@pytest.mark.parametrize("config", ["", CONFIG], ids=["any name", "a model's name"])
def test_schemathesis_finds_nothing(client: Client, scene: bytes, config: str, tmp_path: Path) -> None:
    pytest.importorskip("schemathesis", reason="pip install schemathesis")
    right = client.segment(scene)
    (tmp_path / "schemathesis.toml").write_text(config)
    program = "from schemathesis.cli import schemathesis; schemathesis()"
    url = f"http://127.0.0.1:{client.port}/openapi.json"
    command = [sys.executable, "-c", program, "run", url, "--checks", "all", "--max-examples", "3", "--seed", "7"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert client.segment(scene) == right
