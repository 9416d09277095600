"""Image processors that transformers has for torchvision alone, as the options they have.

transformers' own classes cannot be loaded without torchvision, which nothing else here needs.
"""

from __future__ import annotations

from typing import Any, ClassVar

__all__ = ["PROCESSORS", "Sapiens2ImageProcessor", "Tipsv2DptImageProcessor"]


class _Options:
    """An image processor's options: the class's own where a config says nothing."""

    do_resize = True
    resample = 2  # Pillow's number of bilinear
    do_rescale = True
    rescale_factor = 1 / 255
    do_normalize = True
    do_pad = False
    do_center_crop = False
    do_convert_rgb = True

    class valid_kwargs:  # noqa: N801  (the library's name)
        """The names of all options."""

        __required_keys__: ClassVar[frozenset[str]] = frozenset()
        __optional_keys__: ClassVar[frozenset[str]] = frozenset({
            "crop_size", "data_format", "default_to_square", "device", "disable_grouping", "do_center_crop",
            "do_convert_rgb", "do_normalize", "do_pad", "do_reduce_labels", "do_rescale", "do_resize", "image_mean",
            "image_seq_length", "image_std", "input_data_format", "keypoint_heatmap_downscale_factor",
            "keypoint_heatmap_sigma", "pad_size", "resample", "rescale_factor", "return_tensors", "size",
        })  # fmt: skip

    def __init__(self, **options: Any) -> None:
        from transformers.image_processing_utils import get_size_dict

        for name, value in options.items():
            setattr(self, name, value)
        self.size = get_size_dict(self.size)

    size: Any = None

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> _Options:
        """The options that a config names, and the class's own for others."""
        return cls(**values)


class Sapiens2ImageProcessor(_Options):
    """Sapiens2's: ImageNet's mean and deviation."""

    image_mean: Any = (0.485, 0.456, 0.406)
    image_std: Any = (0.229, 0.224, 0.225)
    size: Any = {"height": 1024, "width": 768}


class Tipsv2DptImageProcessor(_Options):
    """TIPSv2's: bytes become 0 to 1."""

    do_normalize = False
    size: Any = {"height": 448, "width": 448}


PROCESSORS: dict[str, type[_Options]] = {
    each.__name__: each for each in (Sapiens2ImageProcessor, Tipsv2DptImageProcessor)
}
"""The processors by their class's name in the library."""
