"""What people look for beside the README: how to cite, what changed, where to report."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

import segship

ROOT = Path(__file__).parents[2]


def test_the_version_is_the_same_everywhere() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    assert citation["version"] == segship.__version__
    assert f"## {segship.__version__}\n" in (ROOT / "CHANGELOG.md").read_text("utf-8")


def test_what_they_link_to_is_there() -> None:
    for name in ("SECURITY.md", "CONTRIBUTING.md"):
        links = re.findall(r"\]\((?!https?:)([^)#]+)", (ROOT / name).read_text("utf-8"))
        assert links, name
        assert [link for link in links if not (ROOT / link).exists()] == [], name
