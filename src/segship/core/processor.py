"""The processor at hand, by what decides over speed: its name, and the instructions that networks are computed with."""

from __future__ import annotations

import os
import platform
import sys
import time
from pathlib import Path

from segship.core.frozen import Frozen, Name

__all__ = ["Processor", "occupied", "processor", "processors"]

_CPUINFO, _STAT = Path("/proc/cpuinfo"), Path("/proc/stat")
_WORKING = (0, 1, 2, 5, 6, 7)  # of the times in its first line: user, nice, system, two of interrupts, stolen
# What people call a feature, and the flags of Linux that say it: any of them.
_FEATURES = {
    "AVX2": ("avx2",),
    "AVX-512": ("avx512f",),
    "VNNI": ("avx512_vnni", "avx_vnni"),
    "bf16": ("avx512_bf16", "avx_bf16", "bf16"),
    "fp16": ("avx512_fp16", "asimdhp"),
    "AMX": ("amx_tile",),
    "NEON": ("asimd",),
    "dot products": ("asimddp",),
    "int8 matrices": ("i8mm",),
    "SVE": ("sve",),
}
_SYSCTL = "/usr/sbin/sysctl"  # of macOS


class Processor(Frozen):
    """A kind of processor.

    Attributes:
        name: As the system calls it.
        features: The instructions that networks are computed with: ``("AVX2", "AVX-512", "VNNI", "bf16")``.
    """

    name: Name
    features: tuple[Name, ...] = ()

    def __str__(self) -> str:
        return f"{self.name} ({', '.join(self.features) or 'no features known'})"


def processor() -> Processor:
    """Describe the processor; where the system does not tell its instructions, they are left out."""
    if _CPUINFO.is_file():
        return _from_linux(_CPUINFO.read_text(encoding="utf-8", errors="replace"))
    if sys.platform == "darwin":
        return Processor(name=_sysctl("machdep.cpu.brand_string") or platform.machine())
    return Processor(name=platform.processor() or platform.machine() or "unknown")


def processors() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def occupied(seconds: float = 0.5) -> float | None:
    """Measure how many processors other programs keep at work, those beside this virtual machine included.

    Args:
        seconds: Of measuring, in which this process rests.

    Returns:
        0 for none; None where the system does not tell.
    """
    if not _STAT.is_file():
        return None
    begin, before = time.monotonic(), _worked()
    time.sleep(seconds)
    return max(0.0, _worked() - before) / (time.monotonic() - begin)


def _worked() -> float:
    """Seconds that all processors have worked since the start, without those of this process."""
    times = _STAT.read_text(encoding="ascii").split("\n", 1)[0].split()[1:]
    own = os.times()
    return sum(int(times[place]) for place in _WORKING) / os.sysconf("SC_CLK_TCK") - own.user - own.system


def _from_linux(text: str) -> Processor:
    values: dict[str, str] = {}
    for line in text.splitlines():
        key, _, value = line.partition(":")
        values.setdefault(key.strip().lower(), value.strip())
    flags = set(values.get("flags", values.get("features", "")).split())
    found = tuple(name for name, any_of in _FEATURES.items() if flags.intersection(any_of))
    return Processor(name=values.get("model name") or platform.machine() or "unknown", features=found)


def _sysctl(name: str) -> str:
    import subprocess  # start-up does without

    try:
        run = subprocess.run([_SYSCTL, "-n", name], capture_output=True, text=True, timeout=5, check=False)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return ""
    return run.stdout.strip()
