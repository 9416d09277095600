"""The network of a folder, loaded by transformers from this machine's files alone."""

from __future__ import annotations

import contextlib
import re
import warnings
from typing import TYPE_CHECKING, Any

from segship.core.errors import (
    CheckpointError,
    ConfigError,
    MissingExtraError,
    SegshipError,
    UnsafeFileError,
    UnsupportedError,
    one_line,
)
from segship.networks.bounds import MAXIMUM_NUMBER, number_beyond, require_within_bounds
from segship.networks.compiler import without_compiler
from segship.reading.checkpoint import read_checkpoint

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

__all__ = ["load_model", "quiet", "require_harmless"]

_PICKLES = ("pytorch_model.bin", "pytorch_model.bin.index.json")
_SHOWN = 8
_TIMM = "timm_backbone"


def require_harmless(folder: Path, config: Mapping[str, Any]) -> None:
    """Refuse configs that make the library fetch weights or code from elsewhere, or ask for more than real ones do.

    Raises:
        UnsafeFileError: The config names attention code of the hub.
        UnsupportedError: The folder is an adapter, quantized, takes its backbone from elsewhere, or has absurd sizes.
    """
    if (number := number_beyond(config)) is not None:
        raise UnsupportedError(
            f"config.json asks for {number!r:.20}, more than {MAXIMUM_NUMBER}: no real network has that"
        )
    if (folder / "adapter_config.json").is_file():
        raise UnsupportedError(f"{folder} holds an adapter: merge it into its network (merge_and_unload) and save that")
    for where, part in _parts(config, "config.json"):
        for key, value in part.items():
            if "attn_implementation" in str(key) and value not in {None, "eager", "sdpa"}:
                raise UnsafeFileError(f"{where}: {key} is {value!r:.80}, which would fetch code; remove it")
        if part.get("quantization_config"):
            raise UnsupportedError(f"{where}: the weights are quantized; give the unquantized network")
    _require_described_backbone(config)


def _require_described_backbone(config: Mapping[str, Any]) -> None:
    """Refuse a backbone that is named only; of DETR's, which are timm's where nothing else is said, that is enough.

    Raises:
        UnsupportedError: The library would ask the hub what the name means.
    """
    described = config.get("backbone_config")
    if isinstance(described, dict):
        if described.get("model_type") == _TIMM:
            _require_timm(described, "config.json: backbone_config")
        return
    if (
        config.get("model_type") == "detr"
        and config.get("use_timm_backbone", True)
        and not config.get("backbone_kwargs")
    ):
        _require_timm(config, "config.json")
    elif config.get("backbone") or config.get("use_timm_backbone"):
        raise UnsupportedError(
            f"the backbone {config.get('backbone')!r:.80} is not described by the folder but taken from elsewhere (the "
            "hub), which is not provided: load the network with transformers 5 and save it again, which writes its "
            "backbone_config"
        )


def _require_timm(part: Mapping[str, Any], where: str) -> None:
    """Require timm for a backbone whose layers are its, and a name that makes it fetch nothing.

    Raises:
        MissingExtraError: timm is not installed.
        UnsafeFileError: The name is an address.
    """
    name = part.get("backbone")
    if name is not None and not (isinstance(name, str) and re.fullmatch(r"[\w.]+", name)):
        raise UnsafeFileError(f"{where}: backbone is {name!r:.80}, which is fetched from elsewhere; nothing was")
    try:
        import timm  # noqa: F401
    except (ImportError, RuntimeError) as error:  # torchvision of another torch raises the second
        raise MissingExtraError(f"The backbone {name} of timm", "timm", "timm") from error


def _parts(config: Mapping[str, Any], where: str, depth: int = 0) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The config and every mapping in it, with its name."""
    yield where, config
    if depth > 10:  # noqa: PLR2004
        raise ConfigError(f"{where} is nested too deeply")
    for key, value in config.items():
        if isinstance(value, dict):
            yield from _parts(value, f"{where}: {key}", depth + 1)


def load_model(folder: Path, architecture: str, checkpoint: Path | None, *, trust: bool) -> Any:
    """Return the ``transformers`` network of ``folder``, in evaluation mode.

    Args:
        folder: With ``config.json`` and safetensors; a lone ``pytorch_model.bin`` is read without running it.
        architecture: Class of the library.
        checkpoint: Weights instead of the folder's own.
        trust: Whether a checkpoint may run code.

    Raises:
        CheckpointError: Weights are missing, or of another network.
        ConfigError: The library does not take the config.
    """
    import torch
    import transformers

    kind = getattr(transformers, architecture)
    state = _own_state(folder, checkpoint, trust=trust)
    with quiet():
        try:
            config = kind.config_class.from_pretrained(folder, local_files_only=True)
            with without_compiler():
                require_within_bounds(lambda: kind(config))
            model, info = kind.from_pretrained(
                None if state else folder,
                config=config,
                state_dict=state,
                local_files_only=True,
                trust_remote_code=False,
                use_safetensors=True,
                dtype=torch.float32,
                output_loading_info=True,
            )
        except SegshipError:
            raise
        except OSError as error:
            raise CheckpointError(f"{folder} cannot be loaded: {_line(error)}") from error
        except Exception as error:
            raise ConfigError(
                f"{folder}: transformers {transformers.__version__} does not take this {architecture} "
                f"({type(error).__name__}: {_line(error)})"
            ) from error
    _require_complete(folder, info)
    return model.float().eval()


def _own_state(folder: Path, checkpoint: Path | None, *, trust: bool) -> dict[str, Any] | None:
    """Weights that this package reads itself; None where the library reads safetensors."""
    if checkpoint is None and not any(folder.glob("*.safetensors")):
        pickles = [folder / name for name in _PICKLES if (folder / name).is_file()]
        if not pickles:
            raise CheckpointError(f"{folder} holds no weights: expected model.safetensors")
        if pickles[0].suffix == ".json":
            raise UnsupportedError(f"{folder} holds its weights as several pickles: save them again as safetensors")
        checkpoint = pickles[0]
    return None if checkpoint is None else read_checkpoint(checkpoint, trust=trust).state


def _require_complete(folder: Path, info: Mapping[str, Any]) -> None:
    """Every weight must be the folder's own: the library would fill gaps with random numbers."""
    wrong = [f"{word} {key}" for word in ("missing", "mismatched") for key in sorted(map(str, info[f"{word}_keys"]))]
    if wrong:
        more = f" and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
        raise CheckpointError(
            f"the weights in {folder} are not of this network: {'; '.join(wrong[:_SHOWN])}{more}. Usually they are of "
            "a network that was not trained to segment"
        )


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence the library's progress bars and remarks."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(50)
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def _line(error: Exception) -> str:
    return one_line(error, joined=True)
