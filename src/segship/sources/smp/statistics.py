"""Mean and standard deviation that the pretrained weights of an encoder were made with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from segship.core.errors import ConfigError
from segship.core.provenance import assumed, read
from segship.reading.normalization import PRESETS, DescribedNormalization

if TYPE_CHECKING:
    from segship.core.provenance import Reading

__all__ = ["Statistics", "statistics"]

_USUAL = "imagenet"  # what get_preprocessing_params takes where no weights are named
_Numbers = tuple[tuple[float, ...], tuple[float, ...]]
_HALF: _Numbers = ((127.5,) * 3, (127.5,) * 3)
_DPN: _Numbers = ((124.0, 117.0, 104.0), (1 / 0.0167,) * 3)
# Encoders that do not take ImageNet's usual mean and deviation; for EfficientNet the name of the weights decides.
_OTHERS: dict[str, _Numbers] = {
    "dpn": _DPN,
    "inceptionresnetv2": _HALF,
    "inceptionv4": _HALF,
    "xception": _HALF,
    "timm-tf_efficientnet_lite": _HALF,
}
_ADVERSARIAL = "advprop"
# Names of before timm was one encoder among others, as the library itself translates them.
_RENAMED = ("timm-regnet", "timm-res2", "timm-resnest", "timm-mobilenetv3", "timm-gernet")


class Statistics(NamedTuple):
    """How an encoder's images are normalised.

    Attributes:
        normalization: Mean and deviation, of pixels of 0-255.
        reading: From where they are.
        notes: For the user, where they had to be assumed.
    """

    normalization: DescribedNormalization
    reading: Reading
    notes: tuple[str, ...] = ()


def statistics(options: dict[str, Any], channels: int, file: str) -> Statistics | None:
    """Return what ``get_preprocessing_params`` gives, without a network; None where it gives nothing for this image.

    Args:
        options: Arguments of the network.
        channels: Of its image.
        file: Name of the file that says ``encoder_weights``.

    Raises:
        ConfigError: The encoder has no weights of the name.
    """
    encoder, weights = str(options["encoder_name"]), options.get("encoder_weights", _USUAL)
    name = _timm_name(encoder)
    numbers = _of_timm(name) if name is not None else _of_library(encoder, weights, file)
    if numbers is None or len(numbers[0]) != channels:
        return None
    found = DescribedNormalization(mean=numbers[0], std=numbers[1], arithmetic="float64")  # as preprocess_input
    if weights:
        return Statistics(found, read(f"{file}: encoder_weights"))
    why = f"{file} names no encoder_weights: mean and std are those that {encoder} has in the library"
    note = f"Assumed: {why}. Otherwise --normalize unit, --normalize none or a description (normalization) says so"
    return Statistics(found, assumed(why), (note,))


def _timm_name(encoder: str) -> str | None:
    """The name in timm of an encoder that is made by it."""
    if encoder.startswith("tu-"):
        return encoder.removeprefix("tu-")
    if not encoder.startswith(_RENAMED):
        return None
    name = encoder.removeprefix("timm-")
    return f"tf_{name}" if "mobilenetv3" in name else name


def _of_timm(name: str) -> _Numbers | None:
    import timm

    if not timm.models.is_model_pretrained(name):
        return None
    found = timm.models.get_pretrained_cfg(name)
    return tuple(255 * value for value in found.mean), tuple(255 * value for value in found.std)


def _of_library(encoder: str, weights: Any, file: str) -> _Numbers | None:
    import segmentation_models_pytorch as smp

    known = list(smp.encoders.encoders.get(encoder, {}).get("pretrained_settings", {}))
    if weights is not None and weights not in known:
        raise ConfigError(
            f"{file}: encoder_weights is {weights!r:.60}, but {encoder} has {', '.join(known) or 'none'} in the library"
        )
    name = weights or (_USUAL if _USUAL in known or not known else known[0])
    if not known:
        return None
    if name == _ADVERSARIAL:
        return _HALF
    return next((numbers for start, numbers in _OTHERS.items() if encoder.startswith(start)), PRESETS["imagenet"])
