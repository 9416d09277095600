"""Test-time augmentation of a config: ``tta_pipeline`` of 1.x, and ``MultiScaleFlipAug`` of both, taken apart.

Every view is a test pipeline of its own, without augmentation, which `segship.sources.mmseg.pipeline` reads.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from segship.core.augmentation import Augmentation, View
from segship.core.errors import ConfigError, SegshipError, UnsupportedError
from segship.sources.mmseg.pipeline import NEW_AUGMENTATION, read_pipeline

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from segship.core.spec import ModelSpec
    from segship.sources.mmseg.pipeline import Pipeline

__all__ = ["find_views", "plain_pipeline", "read_views"]

_MOST_VIEWS = 256
_TWICE = (
    "The config's augmentation: MMSegmentation 1.x takes the sigmoid of a binary network's probabilities a second time "
    "there, so that nearly every pixel is above the threshold; --tta averages the probabilities themselves, as 0.x does"
)


def find_views(values: Mapping[str, Any], test: Any, spec: ModelSpec, *, new: bool) -> tuple[Augmentation, list[str]]:
    """Return the augmentation of a config, and notes about it.

    Args:
        values: The config.
        test: The test pipeline that was taken.
        spec: What the network expects without augmentation.
        new: Whether the config is of 1.x.

    Returns:
        Its views, those of ``tta_pipeline`` before those of a test pipeline with several; none where it has none, or
        what it has cannot be provided, which a note tells.
    """
    notes = []
    named = values.get("tta_pipeline")
    own = named if named is not None else test
    views: tuple[View, ...] = ()
    try:
        found = read_views(own, new=new)
        views = tuple(_as_own(view, spec) for view in found) if len(found) > 1 or named is not None else ()
        _require_merged(values, named)
    except SegshipError as error:
        views = ()
        notes.append(f"The config's test-time augmentation cannot be used, --tta names another: {error}")
    if views and spec.output == "sigmoid" and named is not None:
        notes.append(_TWICE)
    return Augmentation(views=views, padding=spec.padding), notes


def _require_merged(values: Mapping[str, Any], named: Any) -> None:
    """The model that merges the views is MMSegmentation's own."""
    model = values.get("tta_model")
    if named is None or model is None:
        return
    kind = str(model.get("type") if isinstance(model, dict) else model).rpartition(".")[2]
    if kind != "SegTTAModel":
        raise UnsupportedError(f"tta_model is {kind!r:.80}: SegTTAModel, the mean of probabilities, is provided")


def _as_own(view: View, spec: ModelSpec) -> View:
    """A view that is resized as the package's own says so, as the package may be made for one size."""
    resized = view.geometry != spec.geometry or view.factor is not None
    unchanged = not spec.geometry and view.factor is not None and view.factor.factor == 1
    return (
        view
        if resized and not (unchanged and not view.geometry)
        else view.model_copy(update={"geometry": None, "factor": None})
    )


def plain_pipeline(transforms: Any, *, new: bool = False) -> tuple[Pipeline, list[str]]:
    """Read a test pipeline; of one with several views, an unflipped one whose scale is nearest to the image's own.

    Args:
        transforms: The list in a config.
        new: Whether the config is of 1.x.

    Returns:
        The pipeline, and notes about the choice.

    Raises:
        SegshipError: As of `read_pipeline`.
    """
    flat = list(_pipelines(transforms)) if isinstance(transforms, (list, tuple)) else []
    if len(flat) <= 1 or all(one == flat[0] for one in flat):
        return read_pipeline(flat[0] if flat else transforms, new=new), []
    plain = [one for one in flat if read_pipeline(one, new=new, augmented=True).flipped is None]
    if not plain:
        raise UnsupportedError("every view of the test pipeline is flipped: give it one that is not")
    ratios = [_ratio(one) for one in plain]
    middle = (len(plain) - 1) // 2
    place = min(range(len(plain)), key=lambda at: (abs(ratios[at] - 1), abs(at - middle)))
    note = (
        f"The config's test pipeline looks at an image in {len(flat)} ways (test-time augmentation), and the package "
        f"at ratio {ratios[place]:g} without a flip; --tta averages them all"
    )
    return read_pipeline(plain[place], new=new), [note]


def _ratio(transforms: Sequence[Any]) -> float:
    """The scale of a view as a share of the config's own, 1 where it does not say."""
    for transform in transforms:
        for key in ("img_ratios", "scale_factor"):
            value = transform.get(key) if isinstance(transform, dict) else None
            value = value[0] if isinstance(value, (list, tuple)) and value else value
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                return float(value)
    return 1.0


def read_views(transforms: Any, *, new: bool = False) -> tuple[View, ...]:
    """Return the views of a pipeline, in MMSegmentation's order.

    Args:
        transforms: The list in a config.
        new: Whether the config is of 1.x.

    Raises:
        ConfigError: They are no list of transforms.
        UnsupportedError: One of them changes pixels in a way that is not provided.
    """
    if not isinstance(transforms, (list, tuple)):
        raise ConfigError(f"the pipeline is a {type(transforms).__name__}, expected a list of transforms")
    return tuple(read_pipeline(flat, new=new, augmented=True).view() for flat in _pipelines(transforms))


def _pipelines(transforms: Sequence[Any]) -> Iterator[list[Any]]:
    """The pipeline of each view: what stands before and after an augmentation, and one choice of it."""
    for place, transform in enumerate(transforms):
        name = str(transform.get("type")).rpartition(".")[2] if isinstance(transform, dict) else ""
        if name in _CHOICES:
            for choice in _bounded(_CHOICES[name](transform)):
                yield [*transforms[:place], *choice, *transforms[place + 1 :]]
            return
    yield list(transforms)


def _bounded(choices: Iterator[list[Any]]) -> Iterator[list[Any]]:
    for number, choice in enumerate(choices):
        if number == _MOST_VIEWS:
            raise UnsupportedError(f"the augmentation makes more than {_MOST_VIEWS} views of an image")
        yield choice


def _choices_of_each(cfg: Mapping[str, Any]) -> Iterator[list[Any]]:
    """TestTimeAug: one transform of each list."""
    lists = cfg.get("transforms")
    if not isinstance(lists, (list, tuple)) or not all(isinstance(one, (list, tuple)) and one for one in lists):
        raise ConfigError("TestTimeAug.transforms is no list of lists of transforms")
    for chosen in itertools.product(*lists):
        yield list(chosen)


def _choices_of_scales(cfg: Mapping[str, Any]) -> Iterator[list[Any]]:
    """MultiScaleFlipAug: each scale, with and without each flip."""
    old = not NEW_AUGMENTATION & cfg.keys()
    directions = cfg.get("flip_direction", "horizontal")
    directions = list(directions) if isinstance(directions, (list, tuple)) else [directions]
    flips: list[dict[str, Any]]
    if old:
        flips = [
            {"flip": on, "flip_direction": one}
            for on in ([False, True] if cfg.get("flip") else [False])
            for one in directions
        ]
        _require_flip(cfg)
    else:
        flips = [{"allow_flip": False}]
        flips += [{"allow_flip": True, "flip_direction": one} for one in directions if cfg.get("allow_flip")]
    for scale, flip in itertools.product(_old_scales(cfg) if old else _new_scales(cfg), flips):
        yield [{**cfg, **scale, **flip}]


def _require_flip(cfg: Mapping[str, Any]) -> None:
    kinds = [str(each.get("type")).rpartition(".")[2] for each in cfg.get("transforms", []) if isinstance(each, dict)]
    if cfg.get("flip") and "RandomFlip" not in kinds:
        raise ConfigError("MultiScaleFlipAug has flip=True, but no RandomFlip among its transforms, which would flip")


def _old_scales(cfg: Mapping[str, Any]) -> list[dict[str, Any]]:
    ratios, scales = cfg.get("img_ratios"), cfg.get("img_scale")
    if isinstance(scales, list) and len(scales) > 1:  # then nobody reads the ratios
        return [{"img_scale": scale, "img_ratios": None} for scale in scales]
    if ratios is not None:
        listed = list(ratios) if isinstance(ratios, (list, tuple)) else [ratios]
        return [{"img_ratios": [ratio]} for ratio in listed]
    return [{}]


def _new_scales(cfg: Mapping[str, Any]) -> list[dict[str, Any]]:
    key = "scale_factor" if cfg.get("scales") is None else "scales"
    value = cfg.get(key)
    return [{key: one} for one in (value if isinstance(value, list) else [value])]


_CHOICES = {"MultiScaleFlipAug": _choices_of_scales, "TestTimeAug": _choices_of_each}
