"""What of transformers a run of the command line loads, and that a user's process has all of it."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

pytest.importorskip("transformers", reason="pip install segship[huggingface]")

from transformers.utils import import_utils

from support.commands import PROGRAM
from support.hugging import save

HEAVY = ("torch.distributed.tensor", "torch._dynamo", "scipy.optimize")
LIBRARY = "import sys, segship\nsegship.export(sys.argv[2], None, sys.argv[3])\n"
TOLD = """
import json, sys
print(json.dumps([name for name in {heavy} if name in sys.modules]))
import torch, transformers
from transformers import masking_utils
from transformers.utils import import_utils
print(json.dumps({{
    "available": [getattr(place, name)() for place in (transformers.utils, import_utils) for name in {asked}],
    "decorators": [torch.compiler.disable.__module__, torch.compiler.allow_in_graph.__module__],
    "class": type(masking_utils.TransformGetItemToIndex()).__module__,
    "compiler": torch._dynamo.__file__,
    "has": hasattr(transformers.distributed.sharding_utils, "DTensor"),
}}))
"""
ASKED = ("is_scipy_available", "is_torch_distributed_available", "is_torch_flex_attn_available")
# As where a version of transformers takes something else of torch's compiler.
OTHER_VERSION = "import segship.networks.compiler as compiler\ncompiler._MARKS = ()\n"
PROGRAMS = {"command": PROGRAM, "library": LIBRARY, "other": OTHER_VERSION + PROGRAM}


@pytest.fixture(scope="module", params=["dpt", "upernet-swin"])
def exported(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, tuple[list[str], dict[str, Any], bytes]]:
    """For each way of exporting: which of HEAVY it loads, what is found afterwards, and the graph.

    Building Swin on torch's meta device alone would load the compiler.
    """
    place = tmp_path_factory.mktemp("exported")
    save(request.param, place / "network")
    found = {}
    for name, program in PROGRAMS.items():
        code = program + TOLD.format(heavy=HEAVY, asked=ASKED)
        command = [sys.executable, "-c", code, "export", place / "network", place / name]
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        heavy, afterwards = map(json.loads, done.stdout.splitlines()[-2:])
        found[name] = heavy, afterwards, (place / name / "model.onnx").read_bytes()
    return found


def test_a_command_loads_nothing_that_only_training_needs(exported: Any) -> None:
    heavy, found, _ = exported["command"]
    assert heavy == []
    assert not found["has"]


def test_a_users_process_has_all_of_the_library(exported: Any) -> None:
    heavy, found, _ = exported["library"]
    assert {"torch.distributed.tensor", "torch._dynamo"} <= set(heavy)
    assert found["has"]


def test_what_another_version_asks_for_is_loaded(exported: Any) -> None:
    assert "torch._dynamo" in exported["other"][0]


@pytest.mark.parametrize("name", PROGRAMS)
def test_afterwards_every_name_is_the_librarys_own(name: str, exported: Any) -> None:
    _, found, _ = exported[name]
    assert found["available"] == [getattr(import_utils, name)() for name in ASKED] * 2
    assert found["decorators"] == ["torch.compiler"] * 2
    assert found["class"] == "torch._dynamo._trace_wrapped_higher_order_op"
    assert found["compiler"]


def test_all_write_the_same_graph(exported: Any) -> None:
    assert exported["command"][2] == exported["library"][2] == exported["other"][2]
