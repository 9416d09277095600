"""The measured tables of docs/tables/speed.md: speed.json beside it keeps the last two runs of each row."""

from __future__ import annotations

import json
import platform
from pathlib import Path
from typing import Any

__all__ = ["record", "write_page"]

DOCS = Path(__file__).parents[1] / "docs" / "tables"
RESULTS, PAGE = DOCS / "speed.json", DOCS / "speed.md"
TITLES = {
    "onnxruntime": "ONNX Runtime fp32",
    "onnxruntime-int8": "ONNX Runtime int8",
    "openvino": "OpenVINO fp32",
    "openvino-bf16": "OpenVINO bf16",
    "openvino-int8": "OpenVINO int8",
    "openvino_static": "OpenVINO fp32, static",
    "openvino-bf16_static": "OpenVINO bf16, static",
    "openvino-int8_static": "OpenVINO int8, static",
}
_RUNS = 2


def record(kind: str, rows: list[dict[str, Any]]) -> None:
    """Keep rows, and write the page.

    Args:
        kind: ``"engines"`` or ``"mmdeploy"``: the table.
        rows: ``network``, ``size``, ``threads`` and ``times``: for each candidate ``median``, ``low`` and ``high`` in
            milliseconds, the one that all are compared with first.
    """
    results: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}
    table = results.setdefault(kind, {})
    for row in rows:
        runs = table.setdefault(f"{row['network']}, {row['size']}", [])
        runs.append({**row, "processor": processor()})
        del runs[:-_RUNS]
    RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    write_page(results)


def write_page(results: dict[str, Any]) -> None:
    """Put each table between its marks."""
    page = PAGE.read_text(encoding="utf-8")
    for kind, rows in results.items():
        begin, end = f"<!-- {kind}: begin -->", f"<!-- {kind}: end -->"
        head, rest = page.split(begin)
        page = f"{head}{begin}\n{table_of(kind, rows)}\n{end}{rest.split(end)[1]}"
    PAGE.write_text(page, encoding="utf-8")


def table_of(kind: str, rows: dict[str, list[dict[str, Any]]]) -> str:
    """Engines as shares of the first candidate's time; MMDeploy's time as a multiple of ours."""
    base = next(iter(next(iter(rows.values()))[0]["times"]))
    used = {target for runs in rows.values() for run in runs for target in run["times"]} - {base}
    targets = [target for target in TITLES if target in used]
    lines = [f"| network, size | {base} ms | " + " | ".join(TITLES[target] for target in targets) + " |"]
    lines.append("|---|" + "---:|" * (1 + len(targets)))
    for name, runs in rows.items():
        cells = [name, ", ".join(f"{run['times'][base]['median']:.0f}" for run in runs)]
        for target in targets:
            found = (_ratio(kind, run["times"][base], run["times"][target]) for run in runs if target in run["times"])
            cells.append(", ".join(found))
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _ratio(kind: str, base: dict[str, float], time: dict[str, float]) -> str:
    if kind == "engines":
        return f"{time['median'] / base['median']:.2f}"
    return f"{base['median'] / time['median']:.2f}x"


def processor() -> str:
    """The processor's name, and whether it has the instructions that decide."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor()
    name = next((line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("model name")), "")
    flags = next((line.split() for line in text.splitlines() if line.startswith("flags")), [])
    have = [flag for flag in ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_int8") if flag in flags]
    return f"{name} ({', '.join(have)})"
