"""Run our networks and the real MMSegmentation's in one process, with the same weights and images, and compare.

Run it in an environment that has both: what `record_reference` needs, and ``pip install segship[export]``::

    python oracles/compare_mmseg.py                    # one config of each architecture of the zoo
    python oracles/compare_mmseg.py CONFIG [CONFIG ...] [--sizes 128x256 145x211] [--set KEY=VALUE]

CONFIG is a path inside ``mmseg/.mim/configs``. Equal means: the same keys and shapes; logits that differ by less than
3e-5 of the greatest one, or, where the weights magnify the rounding of float32, by less than 1e-6 when both are run
again in float64; and an error where MMSegmentation has one. Results are appended to ``--to``; what stands there already
is not run again.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import torch

sys.path[:0] = [str(Path(__file__).parents[1] / "tests")]
from record_reference import build, changes_of, configs, import_mmseg, logits_of, settings
from segship import SegshipError, load_network
from segship.models.parts import TRAINING_ONLY
from support import fill

ZOO = Path(__file__).parents[1] / "tests" / "references" / "zoo.json"
NOISE, TRUTH = 3e-5, 1e-6
# SegNeXt's residual branches overflow float32 with undamped weights.
DAMPING = {"segnext": {"layer_scale_1": 0.01, "layer_scale_2": 0.01}}
Size = tuple[int, int]


def same_bases() -> None:
    """Give the real LightHamHead, which draws its bases anew each time, the ones of ours."""
    from mmseg.models.decode_heads import ham_head

    def bases(_: Any, batch: int, groups: int, channels: int, count: int, device: Any = None) -> torch.Tensor:
        drawn = torch.rand(groups, channels, count, generator=torch.Generator().manual_seed(0), dtype=torch.float32)
        drawn = torch.nn.functional.normalize(drawn, dim=1).to(torch.get_default_dtype())
        return drawn.repeat(batch, 1, 1).to(device)

    ham_head.NMF2D._build_bases = bases  # noqa: SLF001


def plain(value: Any, dropped: frozenset[str] = frozenset()) -> Any:
    """Dictionaries of MMEngine as plain ones, without the keys that are ``dropped``."""
    if isinstance(value, dict):
        return {key: plain(entry, dropped) for key, entry in value.items() if key not in dropped}
    return type(value)(plain(entry, dropped) for entry in value) if isinstance(value, (list, tuple)) else value


def architectures() -> list[str]:
    """One config for each way in which the zoo's networks differ but for their classes and their training.

    SAN is left out: it needs a vocabulary, and is recorded with it.
    """
    dropped = TRAINING_ONLY | {"auxiliary_head", "data_preprocessor", "num_classes", "test_cfg"}
    found: dict[str, str] = {}
    for config, entry in json.loads(ZOO.read_text()).items():
        if "sha256" in entry and not config.startswith("san/"):
            found.setdefault(json.dumps(plain(settings(config), dropped), sort_keys=True, default=str), config)
    return list(found.values())


def attempt(run: Any, *args: Any) -> torch.Tensor | str:
    """Logits, or the error."""
    try:
        return run(*args)  # type: ignore[no-any-return]
    except (SegshipError, RuntimeError, ValueError, AssertionError) as error:
        return f"{type(error).__name__}: {error}"


def difference(theirs: torch.Tensor, ours: torch.Tensor) -> tuple[float, float]:
    """Greatest difference as a share of the greatest logit, and the share of equal labels."""
    if theirs.shape != ours.shape:
        return float("inf"), 0.0
    same = theirs.argmax(1) == ours.argmax(1)
    return float((theirs - ours).abs().max() / theirs.abs().max()), float(same.double().mean())


def at_size(theirs: torch.nn.Module, ours: torch.nn.Module, size: Size, dtype: torch.dtype) -> dict[str, Any]:
    """Run both at one size."""
    torch.set_default_dtype(dtype)
    image = torch.from_numpy(fill.image(*size)).to(dtype)
    expected = attempt(logits_of, theirs.to(dtype), image)
    with torch.inference_mode():
        found = attempt(ours.to(dtype), image)
    torch.set_default_dtype(torch.float32)
    if isinstance(expected, str) or isinstance(found, str):
        told = [value if isinstance(value, str) else "runs" for value in (expected, found)]
        return {"size": size, "told": told, "equal": told[1].startswith("SizeError") and told[0] != "runs"}
    share, labels = difference(expected, found)
    return {"size": size, "difference": share, "labels": labels, "equal": share < NOISE and labels >= 0.999}


def compare(config: str, changes: dict[str, Any], sizes: list[Size]) -> dict[str, Any]:
    """Compare one network at all sizes, once more in float64 where it differs."""
    ours = load_network(configs() / config, cfg_options=changes, with_auxiliary=True)
    theirs = build(settings(config, changes), DAMPING.get(config.partition("/")[0], {}))
    ours.load_state_dict(theirs.state_dict())
    fixed = ours.sizes.fixed
    cases = [at_size(theirs, ours, size, torch.float32) for size in ([fixed] if fixed else [])]
    cases += [at_size(theirs, ours, size, torch.float32) for size in sizes]
    for case in cases:
        if not case["equal"] and "difference" in case:
            exact = at_size(theirs, ours, case["size"], torch.float64)
            case["exact"] = exact.get("difference", exact.get("told"))
            case["equal"] = exact.get("difference", 1.0) < TRUTH
    return {"config": config, "changes": changes, "cases": cases, "equal": all(case["equal"] for case in cases)}


def main() -> None:
    """Compare what is named; exit status 1 if anything differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("configs", nargs="*")
    parser.add_argument("--sizes", nargs="+", default=["128x256", "145x211"], metavar="HxW")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="model.backbone.depth=18")
    parser.add_argument("--to", type=Path, default=Path("compared.jsonl"))
    options = parser.parse_args()
    import_mmseg()
    same_bases()
    changes = changes_of(options.set)
    sizes = [(int(height), int(width)) for height, _, width in (size.partition("x") for size in options.sizes)]
    done = [json.loads(line) for line in options.to.read_text().splitlines()] if options.to.exists() else []
    results = {(row["config"], json.dumps(row["changes"])): row for row in done}
    for config in options.configs or architectures():
        key = (config, json.dumps(changes))
        if key not in results:
            results[key] = compare(config, changes, sizes)
            with options.to.open("a") as file:
                file.write(json.dumps(results[key]) + "\n")
        print(config, "equal" if results[key]["equal"] else f"DIFFERS {results[key]['cases']}", flush=True)
    sys.exit(not all(row["equal"] for row in results.values()))


if __name__ == "__main__":
    main()
