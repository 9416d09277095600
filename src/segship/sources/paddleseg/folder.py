"""What lies in an inference folder: the files, and what ``deploy.yaml`` says of the input."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from segship.core.errors import ConfigError, UnsupportedError, did_you_mean
from segship.reading.documents import read_mapping
from segship.sources.paddleseg.transforms import read_transforms

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["DESCRIPTIONS", "PROGRAMS", "Folder", "read_folder"]

DESCRIPTIONS = ("deploy.yaml", "inference.yml")
"""How PaddleSeg calls the description: the second for FastDeploy."""

PROGRAMS = ("model.json", "model.pdmodel", "inference.json", "inference.pdmodel")
"""How its exports call the program."""

_OF_PADDLEX = ("inference.json", "inference.pdmodel")
_PARAMS_OF_PADDLEX = "inference.pdiparams"

_MAXIMUM_BYTES = 2**28  # real ones have a few million
_SUFFIXES = (".json", ".pdmodel")
_OUTPUT_OPS = frozenset({"argmax", "softmax", "none"})
_DEPLOY = frozenset({"input_shape", "model", "output_dtype", "output_op", "params", "transforms"})
# Hpi says how PaddleX's high-performance inference runs the program: backends and their sizes, nothing of the image.
_SECTIONS = frozenset({"Deploy", "Global", "Hpi"})
_GLOBAL = frozenset({"model_name"})
_ANOMALIES = frozenset({"STFPM"})
_MODELS = frozenset({
    *("Deeplabv3-R50", "Deeplabv3-R101", "Deeplabv3_Plus-R50", "Deeplabv3_Plus-R101", "MaskFormer_small"),
    *("MaskFormer_tiny", "OCRNet_HRNet-W18", "OCRNet_HRNet-W48", "PP-LiteSeg-B", "PP-LiteSeg-T", "SeaFormer_base"),
    *("SeaFormer_large", "SeaFormer_small", "SeaFormer_tiny", "SegFormer-B0", "SegFormer-B1", "SegFormer-B2"),
    *("SegFormer-B3", "SegFormer-B4", "SegFormer-B5"),
})  # fmt: skip


@dataclass(frozen=True)
class Folder:
    """An inference folder.

    Attributes:
        description: The YAML file.
        program: The network, ``.json`` or ``.pdmodel``.
        params: Its weights.
        said: What the YAML says of the input, as `read_description` takes it.
        output_op: What the YAML says that follows the scores: ``argmax``, ``softmax``, ``none``; None: nothing.
        ignored: A sentence for each option that is not known and was passed over.
        paddlex: What PaddleX calls the model; its rules of resizing then count. Empty: it is PaddleSeg's.
    """

    description: Path
    program: Path
    params: Path
    said: dict[str, Any] = field(default_factory=dict)
    output_op: str | None = None
    ignored: tuple[str, ...] = ()
    paddlex: str = ""


def read_folder(path: Path, *, ignore_unknown: bool = False) -> Folder:
    """Find the files of the folder at ``path``, or of the folder that the YAML file at ``path`` lies in.

    Args:
        path: The folder, or the YAML file.
        ignore_unknown: Pass over options that are not known instead of refusing them.

    Raises:
        ConfigError: A file is missing, or the YAML says something that cannot be used.
        UnsupportedError: A transform is not known.
    """
    folder = path if path.is_dir() else path.parent
    description = path if path.is_file() else _first(folder, DESCRIPTIONS)
    if description is None:
        raise ConfigError(f"{folder} has no deploy.yaml, which PaddleSeg's export writes beside the network")
    values = read_mapping(description)
    deploy, paddlex = values.get("Deploy"), _model_of_paddlex(values)
    if paddlex in _ANOMALIES:
        raise UnsupportedError(
            f"{description} is of {paddlex}, PaddleX's anomaly detection, whose scores are no classes: "
            "its networks of semantic segmentation are provided"
        )
    if not isinstance(deploy, dict):
        raise ConfigError(f"{description} has no Deploy section: expected the file that PaddleSeg's export wrote")
    program, params = _files(folder, deploy, description, paddlex=bool(paddlex))
    output_op = deploy.get("output_op")
    if output_op is not None and str(output_op) not in _OUTPUT_OPS:
        raise ConfigError(f"{description}: output_op is {output_op!r:.60}, expected one of argmax, softmax and none")
    said, strange = read_transforms(deploy.get("transforms"), str(description), paddlex=bool(paddlex))
    strange = _strange(values, deploy, paddlex) + strange
    if strange and not ignore_unknown:
        raise ConfigError(
            f"{description}: {' '.join(strange)} It may change what the network sees: mend or remove it; "
            "--ignore-unknown (ignore_unknown=True) passes over it"
        )
    return Folder(description, program, params, said, output_op, tuple(strange), paddlex)


def _strange(values: dict[str, Any], deploy: dict[str, Any], paddlex: str) -> list[str]:
    """A sentence for each thing that no version of PaddleSeg and PaddleX knows."""
    found = values.get("Global")
    general = found if isinstance(found, dict) else {}
    groups = (("The file", values, _SECTIONS), ("Global", general, _GLOBAL), ("Deploy", deploy, _DEPLOY))
    strange = [
        f"{where} has no {key!r:.80}.{did_you_mean(str(key), known)}"
        for where, given, known in groups
        for key in given.keys() - known
    ]
    if paddlex and paddlex not in _MODELS:
        strange.append(
            f"PaddleX has no network of semantic segmentation called {paddlex!r:.80}.{did_you_mean(paddlex, _MODELS)}"
        )
    return sorted(strange)


def _files(folder: Path, deploy: dict[str, Any], description: Path, *, paddlex: bool) -> tuple[Path, Path]:
    """The program and its weights.

    PaddleX takes files by their names and does not look at those that the YAML gives.
    """
    names = [_named(deploy, key, description) for key in ("model", "params")]
    own = _first(folder, _OF_PADDLEX) if paddlex else None
    if own is not None and (folder / _PARAMS_OF_PADDLEX).is_file():
        program, params = own, folder / _PARAMS_OF_PADDLEX
    else:
        program = _program(folder, names[0])
        params = _params(folder, names[1], program)
    if program.stat().st_size > _MAXIMUM_BYTES:
        raise ConfigError(f"{program} has {program.stat().st_size} bytes, more than any program without its weights")
    return program, params


def _model_of_paddlex(values: dict[str, Any]) -> str:
    """The model's name, which PaddleX's exports have and PaddleSeg's have not."""
    found = values.get("Global")
    name = found.get("model_name") if isinstance(found, dict) else None
    return name if isinstance(name, str) else ""


def _first(folder: Path, names: tuple[str, ...]) -> Path | None:
    return next((folder / name for name in names if (folder / name).is_file()), None)


def _named(deploy: dict[str, Any], key: str, description: Path) -> str | None:
    """The file name that the YAML gives under ``key``.

    Raises:
        ConfigError: It is no name of a file in the folder.
    """
    name = deploy.get(key)
    if name is None:
        return None
    if not isinstance(name, str) or not name or name in {".", ".."} or any(mark in name for mark in "/\\:\0"):
        raise ConfigError(f"{description}: {key} is {name!r:.80}, expected the name of a file in the same folder")
    return name


def _program(folder: Path, named: str | None) -> Path:
    """The program: the one named where it is there, else the one that is, whatever the YAML says."""
    stem = named.rpartition(".")[0] if named else ""
    likely = (*([named] if named and named.endswith(_SUFFIXES) else []), *(f"{stem}{end}" for end in _SUFFIXES if stem))
    found = _first(folder, (*likely, *PROGRAMS))
    if found is None:
        raise ConfigError(f"{folder} has no model.json and no model.pdmodel, one of which is the network")
    return found


def _params(folder: Path, named: str | None, program: Path) -> Path:
    found = _first(folder, (*([named] if named else []), f"{program.stem}.pdiparams"))
    if found is None:
        raise ConfigError(f"{folder} has no {named or f'{program.stem}.pdiparams'}, which holds the network's weights")
    return found
