"""Networks whose layers are those of MONAI itself (extra ``monai``): which are known, their arguments and their sizes.

A name stands for a class of ``monai.networks.nets``; a bundle brings no code of its own.
"""

from __future__ import annotations

import inspect
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import nn

from segship.core.errors import ConfigError, MissingExtraError, UnsupportedError, did_you_mean
from segship.core.spec import SizeRule
from segship.reading.libraries import Trial, free_sizes, made_by_library, output_size
from segship.reading.options import require_count

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["NETWORKS", "LibraryArguments", "library_arguments", "make", "sizes_of"]

_MEDNEXT = ("", "S", "B", "M", "L", "Small", "Base", "Medium", "Large")
NETWORKS = frozenset(
    {
        *(f"AH{letter}et" for letter in "Nn"),
        "Ahnet",
        "AttentionUnet",
        "BasicUNet",
        *(f"Basic{name}PlusPlus" for name in ("UNet", "Unet", "unet")),
        "BasicUnet",
        "Basicunet",
        "DynUNet",
        "DynUnet",
        "Dynunet",
        "FlexUNet",
        "FlexibleUNet",
        "HighResNet",
        *(f"MedNe{letter}t{size}" for letter in "Xx" for size in _MEDNEXT),
        "SegResNet",
        "SegResNetDS",
        "SwinUNETR",
        "UNETR",
        "VNet",
    }
)
"""Classes of ``monai.networks.nets`` that return scores of each pixel of a plane, and their other names."""

_PLANE = 2
_CHANNELS = ("in_channels", "out_channels")
_MULTIPLES = (1, 2, 4, 8, 16, 32, 64, 128)
_ODD = 127  # a side where any is taken
_PROBE = (5, 7)  # multiples of a side: not square, and odd
_LEAST = (1, 2, 3, 4, 8, 16, 32, 64, 128)


class LibraryArguments(NamedTuple):
    """A network of MONAI's.

    Attributes:
        name: Of its class.
        options: All its arguments that a file gives.
        in_channels: Of the image.
        out_channels: Of the scores.
        window: Sides of the only images that it sees, by MONAI's order of the axes, or None.
    """

    name: str
    options: dict[str, Any]
    in_channels: int
    out_channels: int
    window: tuple[int, int] | None = None


def library_arguments(name: str, said: dict[str, Any], file: str) -> LibraryArguments:
    """Check the arguments of a network.

    Args:
        name: Of its class, one of `NETWORKS`.
        said: What a bundle says.
        file: For messages.

    Raises:
        ConfigError: An argument is not known or not plain.
        MissingExtraError: MONAI is not installed.
    """
    known = _parameters(name)
    options = dict(said)
    if name == "SwinUNETR" and "img_size" not in known:
        options.pop("img_size", None)  # earlier versions only compared it with 32
    if "pretrained" in options:
        options["pretrained"] = False  # the bundle's own weights take their place; nothing is fetched
    strange = [key for key in options if key not in known]
    if strange:
        raise ConfigError(
            f"{file}: MONAI's {name} has no option {strange[0]!r:.60}.{did_you_mean(strange[0], sorted(known))}"
        )
    channels = [options.get(key, known[key].default) for key in _CHANNELS]
    for key, value in zip(_CHANNELS, channels, strict=True):
        require_count(value, f"{file}: {key} of the network")
    return LibraryArguments(name, options, *channels)


def _parameters(name: str) -> dict[str, inspect.Parameter]:
    try:
        from monai.networks import nets
    except ImportError as error:
        raise MissingExtraError(f"Reading MONAI's {name}", "monai", "monai") from error
    make: Callable[..., nn.Module] | None = getattr(nets, name, None)
    if make is None:
        raise UnsupportedError(f"The MONAI that is installed has no {name}: install a newer one")
    if not isinstance(make, type):  # one size of MedNeXt, made by a function of whatever arguments
        from monai.networks.nets import mednext

        make = mednext.create_mednext
    known = dict(inspect.signature(make).parameters)
    return {key: value for key, value in known.items() if key not in {"self", "preprocess", "norm_layer", "variant"}}


def make(said: LibraryArguments) -> nn.Module:
    """Make the network, with whatever numbers.

    Raises:
        ConfigError: MONAI refuses the arguments.
    """
    from monai import __version__
    from monai.networks import nets

    made: nn.Module = made_by_library(
        lambda: getattr(nets, said.name)(**said.options), f"MONAI {__version__}", said.name
    )
    if isinstance(made, nets.BasicUNetPlusPlus) and not made.deep_supervision:
        made.forward = partial(_only, made.forward)
    from monai.networks.nets.basic_unet import UpCat

    for part in made.modules():
        for name, child in part.named_children():
            if isinstance(child, nn.modules.dropout._DropoutNd):  # noqa: SLF001  (the base of all; training's alone)
                setattr(part, name, nn.Identity())
        if isinstance(part, UpCat) and part.is_pad:
            part.forward = partial(_up_and_join, part)
        shortcut = getattr(part, "downsample", None)
        if isinstance(shortcut, partial):
            part.downsample = partial(_shortcut, **shortcut.keywords)  # type: ignore[assignment]
    return made.eval()


def _only(forward: Callable[[torch.Tensor], list[torch.Tensor]], x: torch.Tensor) -> torch.Tensor:
    """The scores of a network that returns a list of them, as MONAI's inferer of windows takes them out of it."""
    (scores,) = forward(x)
    return scores


def _shortcut(x: torch.Tensor, planes: int, stride: int, **_: int) -> torch.Tensor:
    """A residual network's shortcut without weights (type A): every other pixel of a plane, and channels of zeros."""
    fewer = x[:, :, ::stride, ::stride]
    return nn.functional.pad(fewer, (0, 0, 0, 0, 0, planes - fewer.shape[1]))


def _up_and_join(part: Any, x: torch.Tensor, skip: torch.Tensor | None) -> torch.Tensor:
    """What ``UpCat`` computes, for every size alike: it repeats the last line where the skip has one more."""
    x = part.upsample(x)
    if skip is not None:
        x = torch.cat((x, x[:, :, -1:]), 2)[:, :, : skip.shape[2]]
        x = torch.cat((x, x[:, :, :, -1:]), 3)[:, :, :, : skip.shape[3]]
        x = torch.cat((skip, x), 1)
    found: torch.Tensor = part.convs(x)
    return found


def sizes_of(bare: nn.Module, said: LibraryArguments) -> SizeRule:
    """Which sizes the network takes, by MONAI's order of the axes; tried without memory.

    Raises:
        UnsupportedError: It returns scores of another size than its image, or several outputs, or takes no size.
    """
    if (sides := _own_size(said)) is not None and _takes(bare, said, *sides):
        return SizeRule(fixed=sides)
    if said.name == "SwinUNETR":
        raise UnsupportedError(
            "MONAI's SwinUNETR computes otherwise at every size (its windows shrink with the image), and so needs one "
            f"of whole patches: {said.window or 'the whole image'} is none. Name one with --cfg-options "
            "inferer._target_=SlidingWindowInferer inferer.roi_size=[HEIGHT,WIDTH]"
        )
    trials = (Trial(one, one if one > 1 else _ODD, tuple(few * one for few in _LEAST)) for one in _MULTIPLES)
    if (found := free_sizes(lambda *side: _takes(bare, said, *side), trials, _PROBE)) is not None:
        return found
    raise UnsupportedError(
        f"MONAI's {said.name} takes no image of two dimensions that was tried, or does not return one score map of the "
        "image's size"
    )


def _own_size(said: LibraryArguments) -> tuple[int, int] | None:
    """The size that the network is built for, where it is built for one."""
    if said.name == "SwinUNETR":
        return said.window
    size = said.options.get("img_size")
    sides = [size] * _PLANE if isinstance(size, int) else size
    return (sides[0], sides[1]) if isinstance(sides, (list, tuple)) and len(sides) == _PLANE else None


def _takes(bare: nn.Module, said: LibraryArguments, rows: int, columns: int) -> bool:
    """Whether the network returns scores of an image's size."""
    return output_size(bare, said.in_channels, rows, columns) == (said.out_channels, rows, columns)
