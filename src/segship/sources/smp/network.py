"""A network of the library: its arguments checked, its layers made, its weights loaded, its input sizes found out."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, NamedTuple

from torch import nn

from segship.core.errors import ConfigError, MissingExtraError, UnsafeFileError, UnsupportedError, did_you_mean
from segship.core.spec import SizeRule
from segship.networks.bounds import MAXIMUM_NUMBER, build_within_bounds, number_beyond
from segship.networks.compiler import without_compiler
from segship.networks.probability import Sigmoid
from segship.networks.wrapped import WrappedNetwork
from segship.reading.libraries import Trial, free_sizes, made_by_library, output_size
from segship.reading.options import require_count
from segship.reading.weights import load_strict, require_same_keys

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor

    from segship.core.spec import Returned

__all__ = ["ARCHITECTURES", "Built", "build", "known_options", "require_library"]

ARCHITECTURES = frozenset(
    {
        "DPT",
        "DeepLabV3",
        "DeepLabV3Plus",
        "FPN",
        "Linknet",
        "MAnet",
        "PAN",
        "PSPNet",
        "Segformer",
        "UPerNet",
        "Unet",
        "UnetPlusPlus",
    }
)
"""The library's classes of networks."""

_DEPRECATED = frozenset({"decoder_use_batchnorm", "psp_use_batchnorm", "upscale_mode"})
# What an encoder of timm may be told besides. Other arguments of timm name files and addresses, or run code.
_OF_TIMM = frozenset(
    {
        "always_partition",
        "attn_drop_rate",
        "drop_block_rate",
        "drop_path_rate",
        "drop_rate",
        "dynamic_img_pad",
        "dynamic_img_size",
        "img_size",
        "patch_size",
        "pos_drop_rate",
        "proj_drop_rate",
        "strict_img_size",
        "window_size",
    }
)
# The library's names of activations -> the name it is built with, and what the network then returns.
_ACTIVATIONS: dict[str | None, tuple[str | None, Returned]] = {
    None: (None, "logits"),
    "identity": (None, "logits"),
    "tanh": ("tanh", "logits"),
    "logsoftmax": (None, "logits"),  # softmax of it is softmax of the logits
    "argmax2d": (None, "logits"),
    "sigmoid": ("sigmoid", "probabilities"),
    "softmax": ("softmax2d", "probabilities"),
    "softmax2d": ("softmax2d", "probabilities"),
}
_MANY_SIGMOIDS = (
    "Several classes have a sigmoid each (multilabel): the mask is the class of the greatest probability, and "
    "Segmentor.scores tells all of them"
)
_RENAMED = {"decoder.0.": "decoder.aspp.", "decoder.1.": "decoder.conv.", "decoder.2.": "decoder.bn."}
_OLD_TIMM = ("regnet", "res2", "resnest", "mobilenetv3", "gernet")
_PROBE = (13, 17)  # multiples of a side: not square, and divisible by nothing else
_LEAST = (1, 2, 3, 4, 6, 8)  # multiples of a side that may be the smallest a network takes


class Built(NamedTuple):
    """A network and what was found out about it.

    Attributes:
        network: Loaded, in evaluation mode.
        channels: Of its image.
        returns: Which numbers it returns.
        denormals: How many weights were set to zero because they were denormal.
        notes: For the user.
    """

    network: WrappedNetwork
    channels: int
    returns: Returned
    denormals: int
    notes: tuple[str, ...]


def require_library() -> None:
    """Refuse to go on without the library.

    Raises:
        MissingExtraError: It is not installed, or cannot be loaded.
    """
    try:
        _load_library()
    except (ImportError, RuntimeError) as error:  # torchvision of another torch raises the second
        what = "Reading networks of segmentation_models_pytorch"
        raise MissingExtraError(what, "smp", "segmentation_models_pytorch") from error


def _load_library() -> None:
    try:
        with without_compiler():
            import segmentation_models_pytorch
    except Exception:  # noqa: BLE001  (whatever another version asks for: it is loaded with all that it imports)
        import segmentation_models_pytorch  # noqa: F401


def known_options(
    architecture: str, values: dict[str, Any], file: str, *, ignore: bool
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return the arguments of a network, and a sentence for each that it does not have and that is passed over.

    Args:
        architecture: Name of the library's class.
        values: What a file and options say.
        file: For messages.
        ignore: Pass over arguments that are not known.

    Raises:
        ConfigError: An argument is not known, or absurd.
        UnsafeFileError: The encoder would be fetched from elsewhere.
    """
    own = {name: parameter.default for name, parameter in _parameters(architecture) if name not in {"self", "kwargs"}}
    options = {key: value for key, value in values.items() if not key.startswith("_")}
    encoder = options.setdefault("encoder_name", own["encoder_name"])
    if not isinstance(encoder, str):
        raise ConfigError(f"{file}: encoder_name is {encoder!r:.80}, expected the name of an encoder")
    if any(mark in encoder for mark in ":/\\"):
        raise UnsafeFileError(f"{file}: encoder_name is {encoder!r:.80}, which is fetched from elsewhere; nothing was")
    known = own.keys() | _DEPRECATED | (_OF_TIMM if encoder.startswith("tu-") else set())
    strange = sorted(map(str, options.keys() - known))
    sentences = tuple(f"{architecture} has no option {key!r:.80}.{did_you_mean(key, sorted(known))}" for key in strange)
    if strange and not ignore:
        raise ConfigError(
            f"{file}: {' '.join(sentences)} It may change what the network computes: mend or remove it; "
            "--ignore-unknown (ignore_unknown=True) passes over it"
        )
    if (number := number_beyond(options)) is not None:
        raise ConfigError(f"{file} asks for {number!r:.20}, more than {MAXIMUM_NUMBER}: no real network has that")
    _require_plain(options, file)
    return {key: value for key, value in options.items() if key not in strange}, sentences


def _require_plain(options: dict[str, Any], file: str) -> None:
    """The library calls what can be called, and is given plain values only."""
    activation = options.get("activation")
    if activation is not None and activation not in _ACTIVATIONS:
        raise UnsupportedError(
            f"{file}: activation is {activation!r:.60}, which is not provided: "
            f"{', '.join(name for name in _ACTIVATIONS if name)} are, and null"
        )
    for key in ("in_channels", "classes"):
        if key in options:
            require_count(options[key], f"{file}: {key}")


def _parameters(architecture: str) -> Iterable[tuple[str, inspect.Parameter]]:
    import segmentation_models_pytorch as smp

    return inspect.signature(getattr(smp, architecture).__init__).parameters.items()


def build(architecture: str, options: dict[str, Any], state: dict[str, Tensor] | None, *, what: str) -> Built:
    """Make the network and load its weights.

    Args:
        architecture: Name of the library's class.
        options: Its arguments, from `known_options`.
        state: Trained weights; None: random ones.
        what: The checkpoint, for messages.

    Raises:
        ConfigError: The library refuses the arguments.
        CheckpointError: The weights are of another network.
        UnsupportedError: The network takes no size that was tried.
    """
    activation, returns = _ACTIVATIONS[options.get("activation")]
    arguments = options | {"encoder_weights": None, "activation": activation}
    state = None if state is None else _present_keys(architecture, str(options["encoder_name"]), state)
    rules: list[tuple[SizeRule, bool]] = []

    def check(bare: Any) -> None:
        if state is not None:
            require_same_keys(bare, state, what=what)
        bare.classification_head = None  # of the whole image, which training may have had besides
        rules.append(_sizes(bare, int(options.get("in_channels", 3))))

    with without_compiler():
        model: Any = build_within_bounds(lambda: _make(architecture, arguments), check)
    denormals = 0 if state is None else load_strict(model, state, what=what)
    model.classification_head = None
    sizes, whole = rules[0]
    classes, low = int(options.get("classes", 1)), whole and _take_out_resize(model, activation)
    notes = (_MANY_SIGMOIDS,) if classes > 1 and activation == "sigmoid" else ()
    if notes:
        model.segmentation_head[-1].activation = Sigmoid()  # probabilities that are compared with one another
    network = WrappedNetwork(model, max(classes, 2), out_channels=classes, align_corners=low, sizes=sizes)
    network.requires_grad_(requires_grad=False).eval()
    return Built(network, int(options.get("in_channels", 3)), returns, denormals, notes)


def _make(architecture: str, arguments: dict[str, Any]) -> Any:
    import segmentation_models_pytorch as smp

    made: Any = made_by_library(
        lambda: getattr(smp, architecture)(**arguments), f"segmentation_models_pytorch {smp.__version__}", architecture
    )
    # Its own refusal of sizes is the SizeRule's work, and would be in the graph.
    divides = made.requires_divisible_input_shape
    made.divides, made.requires_divisible_input_shape = divides, False
    return made.eval()


def _present_keys(architecture: str, encoder: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Keys of older versions, by the names of today, as the library itself translates them."""
    renamed = _RENAMED if architecture == "DeepLabV3" else {}
    old = encoder.removeprefix("tu-").removeprefix("timm-").removeprefix("tf_").startswith(_OLD_TIMM)
    translated = {}
    for key, value in state.items():
        name = next((new + key.removeprefix(start) for start, new in renamed.items() if key.startswith(start)), key)
        if old and encoder.startswith(("tu-", "timm-")) and name.startswith("encoder."):
            name = name if name.startswith("encoder.model.") else f"encoder.model.{name.removeprefix('encoder.')}"
            name = name.replace(".stages.", ".stages_") if "gernet" in encoder else name
        translated[name] = value
    return translated


def _sizes(bare: Any, channels: int) -> tuple[SizeRule, bool]:
    """Which sizes the network takes, and whether its output is as large as its input; tried without memory."""
    stride = int(bare.encoder.output_stride)
    _, *native = _native(bare.encoder)
    taken: list[bool] = []  # whether an output was as large as its input

    def takes(height: int, width: int) -> bool:
        found = output_size(bare, channels, height, width)
        taken.extend([] if found is None else [found[1:] == (height, width)])
        return found is not None

    multiples = dict.fromkeys([*([] if bare.divides else [1]), stride, 32, *native[:1]])
    if (rule := free_sizes(takes, (_trial(one, stride) for one in multiples), _PROBE)) is not None:
        return rule, taken[0]
    if native and takes(*native):
        return SizeRule(fixed=(native[0], native[1])), taken[0]
    raise UnsupportedError("no input size was found that the network takes: name its img_size")


def _trial(multiple: int, stride: int) -> Trial:
    unit = multiple if multiple > 1 else stride - 1
    return Trial(multiple, unit, (unit, *(max(multiple, stride) * few for few in _LEAST)))


def _native(encoder: nn.Module) -> tuple[int, ...]:
    """(channels, height, width) that an encoder of timm was made for; (0,) for others."""
    for part in encoder.modules():
        size = getattr(part, "img_size", None)
        if isinstance(size, tuple) and len(size) == 2:  # noqa: PLR2004
            return (0, *size)
    found = getattr(getattr(encoder, "model", None), "pretrained_cfg", None) or {}
    return tuple(found.get("input_size", (0,)))


def _take_out_resize(model: Any, activation: str | None) -> bool:
    """Take the last resize out of the network, where only that follows its scores; True: corners were aligned.

    The package resizes scores itself, exactly, and faster.
    """
    head = model.segmentation_head
    if activation is None and isinstance(head, nn.Sequential) and isinstance(head[1], nn.Upsample):
        head[1] = nn.Identity()
        return True
    return False
