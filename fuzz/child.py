"""One input in a process of its own: how the reading ended, within limits of memory, processor time and patience."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import sys
import tempfile
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segship.core.errors import SegshipError

if TYPE_CHECKING:
    from collections.abc import Callable

ROOM = 6 * 2**30
"""Bytes of address space that a reader may take beyond what is mapped when it starts."""
CPU_SECONDS = 9
WALL_SECONDS = 120
SLOW_SECONDS = 5.0
BIG_MEGABYTES = 1000
MARKER = "EXECUTED"
"""Name of what hostile code makes in its folder when it runs."""

# Events of Python's audit hooks that no reader of data causes.
_RUNS = ("os.system", "os.exec", "os.posix_spawn", "pty.spawn", "subprocess.Popen", "socket.connect", "socket.bind")


@dataclass(frozen=True)
class End:
    """How the reading of one input ended.

    Attributes:
        how: ``survived``, ``uncaught``, ``hang``, ``slow``, ``big`` or ``executed``.
        said: What was raised, or the signal.
        seconds: Of processor time.
        megabytes: By which the process grew.
    """

    how: str
    said: str
    seconds: float
    megabytes: int


def run(read: Callable[[Path], object], write: Callable[[Path], Path]) -> End:
    """Write an input to a new folder and read it in a child.

    Args:
        read: A reader of the package.
        write: Makes the input in a folder; returns its path.
    """
    with tempfile.TemporaryDirectory(prefix="segship-hostile-") as name:
        folder = Path(name)
        path = write(folder)
        receive, send = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(receive)
            _child(read, path, folder, send)
        os.close(send)
        with os.fdopen(receive, "rb") as pipe:
            data = _wait(child, pipe)
        executed = (folder / MARKER).exists()
    return _end(data, executed=executed)


def _wait(child: int, pipe: Any) -> dict[str, Any]:
    previous = signal.signal(signal.SIGALRM, lambda *_: os.kill(child, signal.SIGKILL))
    signal.alarm(WALL_SECONDS)
    try:
        text = pipe.read()
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, previous)
    _, status = os.waitpid(child, 0)
    if text:
        return dict(json.loads(text))
    killed = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
    how = "hang" if killed in {signal.SIGXCPU, signal.SIGKILL} else "uncaught"
    return {"how": how, "said": signal.Signals(killed).name if killed else "exit", "seconds": CPU_SECONDS, "grown": 0}


def _child(read: Callable[[Path], object], path: Path, folder: Path, send: int) -> None:
    """Read, tell, and leave without what the parent would do at its own end."""
    os.chdir(folder)
    with open(os.devnull, "w") as null:  # noqa: PTH123
        for stream in (1, 2):
            os.dup2(null.fileno(), stream)
    _limit()
    ran: list[str] = []
    sys.addaudithook(lambda event, arguments: ran.append(f"{event} {arguments!r:.80}") if event in _RUNS else None)
    begin, before = time.process_time(), _grown()
    how, said = _outcome(read, path)
    result = {
        "how": "executed" if ran else how,
        "said": "; ".join(ran) or said,
        "seconds": time.process_time() - begin,
        "grown": _grown() - before,
    }
    os.write(send, json.dumps(result).encode())
    os._exit(0)


def _outcome(read: Callable[[Path], object], path: Path) -> tuple[str, str]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            read(path)
    except SegshipError as error:
        return ("uncaught" if "\n" in str(error) else "survived"), f"{type(error).__name__}: {error}"[:300]
    except BaseException as error:  # noqa: BLE001 - what it is, is the result
        return "uncaught", _where(error)
    return "survived", ""


def _where(error: BaseException) -> str:
    """The error and the line of the package that it came through."""
    place, trace = "", error.__traceback__
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if "segship" in file and "fuzz" not in Path(file).parts:
            place = f" at {Path(file).name}:{trace.tb_lineno}"
        trace = trace.tb_next
    with contextlib.suppress(Exception):
        return f"{type(error).__name__}: {error!s:.160}{place}".replace("\n", " ")
    return type(error).__name__ + place


def _limit() -> None:
    mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (mapped + ROOM, mapped + ROOM))
    used = int(time.process_time())
    resource.setrlimit(resource.RLIMIT_CPU, (used + CPU_SECONDS, used + CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _grown() -> int:
    """Megabytes of the greatest size of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def _end(data: dict[str, Any], *, executed: bool) -> End:
    how = data["how"]
    if executed:
        how = "executed"
    elif how == "survived" and data["grown"] > BIG_MEGABYTES:
        how = "big"
    elif how == "survived" and data["seconds"] > SLOW_SECONDS:
        how = "slow"
    return End(how, data["said"], round(data["seconds"], 2), data["grown"])
