"""convert.sh, run.sh and README.md of a kit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from segship.core.kits import CALIBRATION, CALIBRATION_ARRAY, CALIBRATION_LIST, ENGINES, INPUTS, OUTPUTS

if TYPE_CHECKING:
    from segship.core.artifacts import TensorInfo
    from segship.core.kits import KitBackend, KitJob, Recipe

__all__ = ["SUMS", "convert_script", "readme", "run_script"]

SUMS = "SHA256SUMS"
"""File in ``outputs`` that ``run.sh`` writes last: digests of the outputs, of the engines, and of the kit."""

_HEAD = """#!/usr/bin/env bash
# {what}
set -euo pipefail
cd "$(dirname "${{BASH_SOURCE[0]}}")"
"""


def convert_script(title: str, made: Recipe) -> str:
    """Write ``convert.sh``.

    Args:
        title: Of the vendor's tools.
        made: Its commands.
    """
    lines = [_HEAD.format(what=f"Makes the engines of {title} in {ENGINES}/. Written by segship export --kit."), ""]
    return "\n".join([*lines, f"mkdir -p {ENGINES}", "", *made.convert, ""])


def run_script(title: str, made: Recipe) -> str:
    """Write ``run.sh``, which begins anew where it has run before, and ends with the digests of all it has made.

    Args:
        title: Of the vendor's tools.
        made: Its commands.
    """
    engines = " ".join(f"{ENGINES}/{name}" for name in dict.fromkeys(made.engines.values()))
    lines = [
        _HEAD.format(
            what=f"Runs the engines of {title} on {INPUTS}/, into {OUTPUTS}/. Written by segship export --kit."
        ),
        "",
        f"if [ -e {OUTPUTS}/.kit ]; then rm -rf {OUTPUTS}; fi  # an earlier run's",
        f'if [ -d {OUTPUTS} ] && [ -n "$(ls -A {OUTPUTS})" ]; then',
        f'  echo "{OUTPUTS} holds something else: take it away first" >&2',
        "  exit 1",
        "fi",
        f"mkdir -p {OUTPUTS}",
        f"touch {OUTPUTS}/.kit",
        "",
        *made.run,
        "",
        f"rm {OUTPUTS}/.kit",
    ]
    if made.by_hand:
        return "\n".join([*lines, ""])
    lines += [
        "# What segship adopt holds the results against.",
        f"find {OUTPUTS} {engines} kit.json -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum > {SUMS}.new",
        f"mv {SUMS}.new {OUTPUTS}/{SUMS}",
        f"touch {OUTPUTS}/.kit",
        f'echo "{OUTPUTS} is complete: bring {ENGINES}/ and {OUTPUTS}/ back, and run segship adopt"',
        "",
    ]
    return "\n".join(lines)


def readme(backend: KitBackend, job: KitJob, made: Recipe, images: int) -> str:
    """Write ``README.md``.

    Args:
        backend: Of the vendor.
        job: What the kit is for.
        made: Its commands.
        images: Number of images of the data set; 0: none.
    """
    files = {
        ", ".join(f"`{name}`" for name in dict.fromkeys(job.models.values())): (
            f"the network: input `{job.image.name}` {_by(job.image)}, output `{job.output.name}` {_by(job.output)}"
        ),
        "`convert.sh`, `run.sh`": "the exact commands",
        f"`{INPUTS}/`": (
            f"{len(job.inputs)} inputs, {_layout(made)}, little-endian, without a header; `index.json` and `index.csv` "
            f"say of which image ({images} of a data set; the others are scenes, whose scores are in the kit)"
        ),
        f"`{CALIBRATION}/`": (
            f"{job.calibration} inputs that int8 is fitted to; `{CALIBRATION_LIST}` names them, `{CALIBRATION_ARRAY}` "
            "holds all"
        ),
        "`expected.npz`": "what the network itself answers",
        "`kit.json`": "all that `segship adopt` needs, with the digest of every file",
    }
    if not job.calibration:
        del files[f"`{CALIBRATION}/`"]
    names = (
        " or ".join(f"`{each}`" for each in made.results)
        .replace("{stem}", "NAME")
        .replace("{number}", "PLACE")
        .replace("{output}", job.output.name)
    )
    return _README.format(
        target=job.target,
        title=backend.INFO.title,
        needs=made.needs,
        engine=f"{ENGINES}/{next(iter(made.engines.values()))}",
        files="\n".join(f"| {name} | {text} |" for name, text in files.items()),
        names=names,
        dtype=made.dtype,
    )


def _by(tensor: TensorInfo) -> str:
    return "x".join(map(str, tensor.shape))


def _layout(made: Recipe) -> str:
    if made.pixels:
        return "H x W x C, uint8"
    return f"{'C x H x W' if made.layout == 'nchw' else 'H x W x C'}, float32"


_README = f"""# {{target}} for {{title}}

Written by `segship export --kit`. Needed: {{needs}}.

```bash
bash convert.sh                 # on the machine with the converter: {ENGINES}/
bash run.sh                     # on the machine with the chip: {OUTPUTS}/
segship adopt KIT KIT/{{engine}} --outputs KIT/{OUTPUTS} OUT
```

The engines go to the chip with the kit; `{ENGINES}/` and `{OUTPUTS}/` come back. `segship adopt` holds the outputs
against the network's own, evaluates them, and makes a package with those figures.

| file | what it is |
|---|---|
{{files}}

Outputs may be brought by hand, too: of the input `NAME.bin` the file {{names}}, followed by `.bin`, `.raw` or `.dat`
({{dtype}}), `.npy`, or `.txt` (numbers), in `{OUTPUTS}/result_bs1`; times as the tool prints them, in
`{OUTPUTS}/time_bs1.log`. `{OUTPUTS}/{SUMS}`, which `run.sh` writes, holds the digests; without it, changes on the way
are noticed by the numbers alone, and the package says so.
"""
