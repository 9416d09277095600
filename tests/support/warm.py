"""A process that has imported what the command line does; each command runs in a fork of it.

It is run as a program. It reads one line of JSON for each command and answers with the command's status, as
`subprocess` has it, once the command has ended.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import runpy
import sys
from typing import Any

# Segship first: it tells ONNX Runtime to report to nobody, which is a thread of its own.
ALWAYS = ("segship", "segship.cli.app", "segship.cli.predicting", "segship.runtime", "cv2", "onnxruntime", "rich.table")
EXPORTING = ("torch", "onnx", "onnx_ir", "segship.deploy", "segship.sources", "segship.models", "segship.onnxgraph")


def prepare(without: list[str]) -> None:
    """Import what commands import; what they are to do without cannot be imported."""
    sys.modules.update(dict.fromkeys(without))
    for name in (*ALWAYS, *(() if without else EXPORTING)):
        with contextlib.suppress(ImportError):  # an environment without an extra
            importlib.import_module(name)
    gc.collect()
    gc.freeze()  # a fork that collects garbage would otherwise write to, and so copy, every page that it shares
    assert len(os.listdir("/proc/self/task")) == 1, "a fork keeps one thread of several"  # noqa: PTH208


def become(command: dict[str, Any]) -> None:
    """Take over a command's arguments, environment, folder and streams."""
    for descriptor, path in ((0, os.devnull), (1, command["out"]), (2, command["err"])):
        opened = os.open(path, os.O_RDONLY if descriptor == 0 else os.O_WRONLY | os.O_TRUNC)
        os.dup2(opened, descriptor)
        os.close(opened)
    os.chdir(command["folder"])
    os.environ.clear()
    os.environ.update(command["environment"])
    sys.argv = ["segship", *command["arguments"]]


def main() -> None:
    """Answer until nobody asks any more; in a fork, run one command."""
    prepare(sys.argv[1:])
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            become(json.loads(line))
            runpy.run_module("segship", run_name="__main__", alter_sys=True)
            return
        sys.stdout.write(f"{os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
