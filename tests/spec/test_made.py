"""What `dev/make_spec.py` makes today is what is committed."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import make_spec

SPEC = Path(__file__).parents[2] / "spec"


def test_the_schema_is_that_of_the_models() -> None:
    committed = (SPEC / make_spec.SCHEMA).read_text(encoding="utf-8")
    assert committed == make_spec.schema(), "the manifest changed: run python dev/make_spec.py"


def test_the_vectors_come_out_the_same(tmp_path: Path) -> None:
    make_spec.main(tmp_path)
    made = {path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file()}
    by_hand = {Path("README.md"), Path("hostile.json")}
    assert made | by_hand == {path.relative_to(SPEC) for path in SPEC.rglob("*") if path.is_file()}
    for name in sorted(made):
        new, old = (tmp_path / name).read_bytes(), (SPEC / name).read_bytes()
        if name.name == "input.raw" or name.name.endswith("scores.raw"):  # their last bits are the processor's
            np.testing.assert_allclose(
                np.frombuffer(new, "<f4"), np.frombuffer(old, "<f4"), rtol=0, atol=1e-6, err_msg=str(name)
            )
        else:
            assert new == old, f"{name} changed: run python dev/make_spec.py"
