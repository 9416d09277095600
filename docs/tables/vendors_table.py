"""The table of docs/tables/vendors.md: which families of networks vendors' tools convert, and the labels they keep.

::

    SEGSHIP_RKNN_ENV=… SEGSHIP_QNN_ENV=… python docs/tables/vendors_table.py [--only cgnet,ddrnet] [--targets rknn-fp16]

One network of each family, with weights from a formula and normalisations that fit them, is converted at SIZE, or the
nearest that it takes, and run where a simulator of the vendor's is here. Each cell is kept in docs/tables/vendors.json
as soon as it is there, and is made once: ``--again`` makes those that are asked for anew, ``--table`` only writes the
page. The limit of a cell counts seconds of processors, the vendors' processes included, so that other work on the
machine ends none.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import re
import signal
import sys
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil

from segship import SegshipError, Target, load_network
from segship.backends import find_backend
from segship.capture import CaptureOptions, capture
from segship.core.plan import Plan
from segship.core.spec import ModelSpec
from segship.deploy.build import build_engine, to_quantize
from segship.networks.session import EagerSession
from segship.quantize import quantize
from segship.verification.compare import Reference

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from segship.core.artifacts import Engine, Graph

sys.path.append(str(Path(__file__).parents[2] / "tests"))

from families import DAMPING, FAMILIES
from support import fill
from support.references import configs

RESULTS, PAGE = (Path(__file__).parent / f"vendors.{suffix}" for suffix in ("json", "md"))
TARGETS = ("rknn-fp16", "rknn-int8", "qnn-fp16", "qnn-int8", "tensorrt-rtx", "tensorrt-rtx-fp16")
BEGIN, END = "<!-- vendors: begin -->", "<!-- vendors: end -->"
CALIBRATION = 4  # images of other numbers than the one that is compared
_MOST = 240  # characters of a reason
_COMPILER_SAYS = re.compile(r"Cannot compile operation .*?: ([^.]+)")  # TensorRT's, of one operator
_LOOK = 5  # seconds between two looks at how long a cell has taken
# Their configs build them for one size, at which a simulator takes hours: they are built for SIZE instead.
ONE_SIZE = ("beit", "mae")

Cell = dict[str, Any]


class _TooLongError(Exception):
    """A cell's time is over."""


def settle(network: Any, image: NDArray[np.float32]) -> None:
    """Give each batch normalisation the size of what it sees as its variance, so that what it returns has size one.

    Otherwise values of deep networks grow from layer to layer until float16 cannot hold them, as no trained one's do.
    With a variance for each channel, normalisations would blow up rounding, where a channel hardly varies.
    """

    def see(layer: Any, inputs: Any) -> None:
        layer.running_var.fill_(inputs[0].square().mean())

    layers = [layer for layer in network.modules() if getattr(layer, "running_var", None) is not None]
    hooks = [layer.register_forward_pre_hook(see) for layer in layers]
    EagerSession(network).run({"image": image})
    for hook in hooks:
        hook.remove()


def measure(family: str, target: Target, network: Any, size: tuple[int, int], cards: list[str]) -> Cell:
    """The share of equal labels, or that nothing here runs what is built, for each kind of card that is asked for."""
    if (known := find_backend(target.backend).INFO.options.get("capability")) is None:
        return _measured(family, target, network, size)
    refused, tried = {}, [card for card in known.choices if not cards or card in cards]
    for card in tried:
        try:
            built = _measured(family, target.model_copy(update={"options": {"capability": card}}), network, size)
        except SegshipError as error:
            refused[card] = str(error)
    if len(refused) == len(tried):
        return {"refused": refused[card], "cards": tried}
    return built | {"refused_for": refused, "cards": tried}


def _measured(family: str, target: Target, network: Any, size: tuple[int, int]) -> Cell:
    plan = Plan(
        target=target,
        spec=ModelSpec(
            source="mmseg",
            architecture=family,
            classes=tuple(map(str, range(network.num_classes))),
            palette=((0, 0, 0),) * network.num_classes,
        ),
        sizes=network.sizes,
    )
    backend = find_backend(target.backend)
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder) / "engine"
        directory.mkdir()
        options = CaptureOptions(size=size, dynamic=False, opset=backend.INFO.opset, metadata=plan.metadata())
        graph = capture(network, Path(folder) / "model.onnx", options)
        image = fill.image(*size)
        expected = EagerSession(network).run({"image": image})["logits"]
        engine = _built(graph, plan, directory, Reference("the image", image, expected))
        if not any(device.usable for device in backend.probe()):
            return {"built": True}
        with backend.open(engine) as session:
            found = session.run({engine.inputs[0].name: image})[engine.outputs[0].name]
    if found.shape != expected.shape:
        return {"refused": f"logits of shape {found.shape} instead of {expected.shape}"}
    if not np.isfinite(found).all():
        return {"refused": "the simulator returns NaN or infinity: the export's gate refuses it"}
    return {"labels": float(np.mean(found.argmax(1) == expected.argmax(1)))}


def _built(graph: Graph, plan: Plan, directory: Path, image: Reference) -> Engine:
    if plan.target.precision != "int8":
        return build_engine(graph, plan, directory, [image], lambda _: None).engine
    backend = find_backend(plan.target.backend)
    reduced = quantize(to_quantize(graph, plan), plan.target, backend, _calibration(image.image))
    return reduced.build((), directory, lambda made: made)


def _calibration(image: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    return [np.roll(image, 17 * number, (2, 3))[..., ::-1].copy() for number in range(1, CALIBRATION + 1)]


def guarded(family: str, name: str, network: Any, size: tuple[int, int], options: argparse.Namespace) -> Cell:
    """As `measure`, with a reason for whatever goes wrong, and the limit where its time is over."""
    begin = _spent()

    def look(*_: object) -> None:
        if _spent() - begin > options.seconds:
            raise _TooLongError

    signal.signal(signal.SIGALRM, look)
    signal.setitimer(signal.ITIMER_REAL, _LOOK, _LOOK)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            target = Target.parse(f"{name}_static-{size[0]}x{size[1]}")
            return measure(family, target, network, size, list(filter(None, options.cards.split(","))))
    except _TooLongError:
        for left in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                left.kill()
        return {"unfinished": options.seconds}
    except SegshipError as error:
        return {"refused": str(error)}
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _spent() -> float:
    """Seconds of processors that this process and all that it has started have taken."""
    spent, own = 0.0, psutil.Process()
    for process in (own, *own.children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess):
            spent += sum(process.cpu_times()[:4])  # its own, and those of its children that have ended
    return spent


def table(results: dict[str, dict[str, Cell]]) -> str:
    """One row for each family."""
    lines = ["| family | " + " | ".join(f"`{name}`" for name in TARGETS) + " |", "|---|" + "---|" * len(TARGETS)]
    for family in sorted(FAMILIES):
        cells = (_told(results.get(family, {}).get(name)) for name in TARGETS)
        lines.append(f"| {FAMILIES[family][0]} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _told(cell: Cell | None) -> str:
    if cell is None:
        return "not run"
    if "labels" in cell:
        return f"{cell['labels']:.2%}"
    if "built" in cell:
        refused = cell.get("refused_for", {})
        reason = _short(next(iter(refused.values()))) if refused else ""
        cards = cell.get("cards", [])
        built = f"builds for {cards[0]}" if len(cards) == 1 else "builds"
        return f"{built}, not for {', '.join(refused)}: {reason}" if refused else built
    if "unfinished" in cell:
        return f"not finished in {cell['unfinished']} s of a processor"
    return f"no: {_short(cell['refused'])}"


def _short(reason: object) -> str:
    whole = " ".join(str(reason).split()).replace("|", "/")
    if (found := _COMPILER_SAYS.search(whole)) is not None:
        return found[1]
    return whole if len(whole) <= _MOST else f"{whole[:_MOST].rpartition(' ')[0]} …"


def write_page(results: dict[str, dict[str, Cell]]) -> None:
    """Put the table into the page, whose other text stays."""
    head, rest = PAGE.read_text(encoding="utf-8").split(BEGIN)
    PAGE.write_text(f"{head}{BEGIN}\n{table(results)}\n{END}{rest.split(END)[1]}", encoding="utf-8")


def main() -> None:
    """Measure what is asked for and missing, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", metavar="FAMILY,FAMILY")
    parser.add_argument("--targets", default=",".join(TARGETS))
    parser.add_argument("--size", default="64x128")
    parser.add_argument("--seconds", type=int, default=300, help="of processors, the limit of a cell")
    parser.add_argument("--cards", default="", metavar="SM89,SM120", help="of tensorrt-rtx; all by default")
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--table", action="store_true", help="only write the page")
    options = parser.parse_args()
    near, wanted = tuple(map(int, options.size.split("x"))), set(filter(None, options.only.split(",")))
    for family in _smallest_first() if not options.table else ():
        config = FAMILIES[family][2]
        known = _read().get(family, {})
        missing = [
            name
            for name in options.targets.split(",")
            if options.again or known.get(name, {"unfinished": 0}).get("unfinished", options.seconds) < options.seconds
        ]
        if (wanted and family not in wanted) or not missing:
            continue
        smaller = [f"model.backbone.img_size=({near[0]},{near[1]})"] if family in ONE_SIZE else []
        network = load_network(configs() / family / f"{config}.py", cfg_options=smaller)
        fill.fill_network(network, DAMPING.get(family))
        size = network.sizes.nearest(near[0], near[1])
        settle(network, fill.image(*size))
        for name in missing:
            begin = _spent()
            cell = guarded(family, name, network, size, options) | {"seconds": round(_spent() - begin, 1)}
            print(family, name, cell, flush=True)
            results = _read()  # anew: two runs may share the families between them
            results.setdefault(family, {})[name] = cell | {"size": list(size)}
            RESULTS.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    write_page(_read())


def _smallest_first() -> list[str]:
    """So that most are there soon; docs/tables/models.json knows how large they are."""
    sizes = json.loads(RESULTS.with_name("models.json").read_text(encoding="utf-8"))
    return sorted(FAMILIES, key=lambda family: int(sizes.get(family, {}).get("parameters", 0)))


def _read() -> dict[str, dict[str, Cell]]:
    return json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.is_file() else {}


if __name__ == "__main__":
    main()
