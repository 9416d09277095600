"""docs/tables/serve.md: what hostile clients get, slow connections, many requests, a killed worker, processor time.

::

    python docs/tables/serve_table.py [hostile] [storm] [growth] [killed] [cost] [ratio] [--requests 100000]

Without a name all parts are measured: some 40 minutes on two cores, ``growth`` the most of it. ``cost`` needs
TorchServe and Ray beside Segship (benchmarks/serve.py says how). Results are merged into docs/tables/serve.json, from
which the page is written.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import sys
import tempfile
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import segship
from segship.core.files import DEMO
from segship.core.processor import processor

ROOT = Path(__file__).parents[2]
sys.path += [str(ROOT / "benchmarks"), str(ROOT / "tests")]

import serve
from serve_hostile import measure_hostile
from serve_storm import measure_growth, measure_killed, measure_storm
from support.trained import write_trained

if TYPE_CHECKING:
    from collections.abc import Callable

RESULTS, PAGE = (Path(__file__).parent / name for name in ("serve.json", "serve.md"))
SCENE = DEMO / "images" / "scene_01.jpg"
_ROUNDS, _MORE_ROUNDS, _REQUESTS = 4, 9, 48


def small_package(folder: Path) -> str:
    """A small network (CGNet, 160x96), so that a request is what is measured."""
    return str(segship.export(*write_trained(folder), folder / "package").path)


def demo_package(folder: Path) -> str:
    """Fast-SCNN, a network of a usual size for services."""
    config, checkpoint = DEMO / "fast_scnn_scenes.py", DEMO / "fast_scnn_scenes.pth"
    return str(segship.export(config, checkpoint, folder / "package", target="onnxruntime_dynamic").path)


def measure_ratio(package: str, image: bytes) -> list[dict[str, Any]]:
    """Processor time of a request beside a plain loop's alone, in more rounds."""
    service, plain = serve.ours(package), serve.Loop(package, image, _REQUESTS)
    try:
        return serve.rows(serve.measure({"segship serve": service}, plain, image, _MORE_ROUNDS, _REQUESTS, [1, 8]))
    finally:
        plain.stop()
        service.stop()


def measure_cost(package: str, image: bytes) -> list[dict[str, Any]]:
    """Processor time of a request beside a plain loop's, TorchServe's and Ray Serve's, all in one run."""
    with tempfile.TemporaryDirectory() as folder:
        services = {
            "segship serve": serve.ours(package),
            "TorchServe": serve.torchserve(package, Path(folder)),
            "Ray Serve": serve.ray_serve(package),
        }
        plain = serve.Loop(package, image, _REQUESTS)
        try:
            return serve.rows(serve.measure(services, plain, image, _ROUNDS, _REQUESTS, [1, 8]))
        finally:
            plain.stop()
            for service in services.values():
                service.stop()


MEASURES: dict[str, tuple[Callable[[Path], str], Callable[..., Any]]] = {
    "hostile": (small_package, measure_hostile),
    "storm": (small_package, measure_storm),
    "growth": (small_package, measure_growth),
    "killed": (small_package, measure_killed),
    "cost": (demo_package, measure_cost),
    "ratio": (demo_package, measure_ratio),
}


def page(found: dict[str, Any]) -> str:
    """The page of all results that there are."""
    machine = f"{found['machine']['processor']}, {found['machine']['cores']} cores"
    lines = [
        "# Serving under load",
        "",
        f"`python docs/tables/serve_table.py`; {machine}.",
        "Only figures of one table compare.",
    ]
    for name, write in _SECTIONS.items():
        if name in found:
            lines += ["", *write(found[name])]
    return "\n".join(lines) + "\n"


def _text(*parts: str) -> list[str]:
    """A paragraph."""
    return textwrap.wrap(" ".join(parts), 120, break_on_hyphens=False, break_long_words=False)


def _row(*cells: object) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def _head(*names: str) -> list[str]:
    return ["", _row(*names), _row(*["---"] * len(names)).replace(" ", "")]


def _hostile(result: dict[str, Any]) -> list[str]:
    every = result["lines"]
    held = sum(line["held"] for line in every)
    limits = f"--max-pixels {result['most_pixels']} --max-body {result['most_body']}"
    limit = 6 * result["most_pixels"] / 2**20
    lines = [
        "## What hostile clients get",
        "",
        *_text(
            f"Sent to a service with `{limits}`; files by each way",
            "in which an image may come: the body, a form, TorchServe's route, the Open Inference Protocol over",
            "REST and over",
            'gRPC. A line held where each answer was an error of the client\'s (4xx with `{"error": …}`, or what',
            "gRPC calls",
            "so), the next mask was right, and the memory grew by no more than twice the largest image",
            "that is allowed,",
            f"{limit:.1f} MiB. **{held} of {len(every)} held.**",
        ),
        *_head("what", "bytes", "answers", "MiB", "held"),
    ]
    for line in every:
        answers = ", ".join(dict.fromkeys(line["answers"]))
        name = f"bomb, {line['name']}" if line["group"] == "bomb" else line["name"]
        lines.append(
            _row(name, f"{line['bytes']:,}", answers, f"{line['mib']:.1f}", "yes" if line["held"] else "**no**")
        )
    return lines


def _storm(result: dict[str, Any]) -> list[str]:
    count = result["connections"]
    names = {"alone": "alone", "beside": f"beside {count} slow connections ({result['opened']:,} opened)"}
    lines = [
        "## Slow connections",
        "",
        *_text(
            f"A normal client alone, then beside {count} connections that are silent, drip headers, drip a body or are",
            "half closed, each opened again as soon as the service ends it; in turns. A small network (CGNet,",
            "160x96), default",
            "limits.",
        ),
        *_head("", "p50 ms", "p99 ms", "without a mask"),
    ]
    for name, row in result["times"].items():
        failed = f"{row['failed']} of {row['requests']}"
        lines.append(_row(names[name], f"{row['p50']:.1f}", f"{row['p99']:.1f}", failed))
    share = f"**{100 * result['within']:.1f} %** of the requests beside the storm (95 % are asked for)"
    return [*lines, "", f"Within twice the quiet p99: {share}."]


def _growth(rows: list[dict[str, Any]]) -> list[str]:
    lines = [
        "## Many requests",
        "",
        *_text(
            "Four clients, the same network.",
        ),
        *_head("requests", "MiB", "open files", "threads", "without a mask"),
    ]
    names = ("files", "threads", "failed")
    return lines + [_row(f"{row['requests']:,}", f"{row['mib']:.1f}", *(row[name] for name in names)) for row in rows]


def _killed(result: dict[str, Any]) -> list[str]:
    return [
        "## A killed worker",
        "",
        *_text(
            f"`kill -9` of one of two workers while {result['clients']} clients asked for",
            f"{result['requests']:,} masks:",
            f"{result['failed']} failed, which it was at; of those that began later",
            f"{result['failed_later']} failed.",
            f"A new worker had its place after {result['seconds_to_a_new_one']:.1f} s.",
        ),
    ]


def _cost(rows: list[dict[str, Any]]) -> list[str]:
    lines = [
        "## Processor time of a request",
        "",
        *_text(
            "Fast-SCNN of the demo on ONNX Runtime, one thread a mask, 512x256 JPEG, PNG back; user",
            "and system time of all",
            f"processes of a service, {_ROUNDS} rounds of {_REQUESTS} requests, in turns. A plain loop decodes,",
            "segments and",
            "encodes the same image. TorchServe 0.12.0, with a worker for each core, runs the archive of the",
            "same package; Ray",
            "Serve the same application (`segship serve --ray local`).",
        ),
    ]
    return [*lines, *_costs(rows)]


def _costs(rows: list[dict[str, Any]]) -> list[str]:
    lines = _head("what", "clients", "CPU ms an image", "spread", "ratio")
    for row in rows:
        spread = f"{row['least']:.1f}-{row['most']:.1f}"
        lines.append(_row(row["what"], row["clients"], f"{row['ms']:.1f}", spread, f"{row['ratio']:.3f}"))
    return lines


def _ratio(rows: list[dict[str, Any]]) -> list[str]:
    ours = ", ".join(f"{row['ratio']:.3f} with {row['clients']}" for row in rows if row["what"] == "segship serve")
    return [
        *_text(
            f"The plain loop and the service alone, without the processes of the other two beside them, {_MORE_ROUNDS}",
            f"rounds; medians {ours} (clients).",
        ),
        *_costs(rows),
        "",
        *_text(
            "Asked for is 1.05. Single rounds scatter by as much as that is above one. Where the mask is there",
            "at once, a request takes 0.7 ms with one client and 0.5 with eight (on a Xeon).",
        ),
    ]


_SECTIONS: dict[str, Callable[[Any], list[str]]] = {
    "hostile": _hostile,
    "storm": _storm,
    "growth": _growth,
    "killed": _killed,
    "cost": _cost,
    "ratio": _ratio,
}


def main() -> None:
    """Measure the parts that are asked for and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=[*MEASURES, []])
    parser.add_argument("--requests", type=int, default=100_000, help="of growth")
    options = parser.parse_args()
    image = SCENE.read_bytes()
    for part in options.parts or MEASURES:
        make, measure = MEASURES[part]
        if part == "growth":
            measure = functools.partial(measure, requests=options.requests)
        with tempfile.TemporaryDirectory() as folder:
            result = measure(make(Path(folder)), image)
        print(part, result, flush=True)
        found = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.is_file() else {}
        machine = {"processor": str(processor()), "cores": len(os.sched_getaffinity(0))}
        found |= {"machine": machine, part: result}
        RESULTS.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        PAGE.write_text(page(found), encoding="utf-8")


if __name__ == "__main__":
    main()
