from __future__ import annotations

from segship.core.provenance import Provenance, assumed, default, in_words, read
from segship.core.spec import ModelSpec, Normalization, Padding, Resize, Slide

SPEC = ModelSpec(
    source="onnx",
    architecture="x",
    classes=("road", "wall"),
    palette=((0, 0, 0), (128, 64, 128)),
    geometry=(Resize(width=480, height=360, keep_ratio=True, interpolation="pillow_bicubic"),),
    normalization=Normalization(channel_order="bgr", mean=(103.53000000000002, 116.28, 123.675), std=(1, 2, 3)),
    padding=Padding(multiple_of=32),
    slide=Slide(crop=(64, 64), stride=(48, 48)),
    output="sigmoid",
    threshold=0.3,
)


def test_what_was_assumed_is_told_with_its_reason_and_together() -> None:
    nothing = assumed("nothing in x.onnx says it")
    provenance = Provenance.everywhere(read("x.yaml")).model_copy(
        update={"channel_order": nothing, "normalization": nothing, "classes": assumed("x.onnx has labels")}
    )
    assert provenance.assumptions(SPEC) == (
        "channel order BGR, normalization mean 103.53 116.28 123.675; std 1 2 3 (nothing in x.onnx says it)",
        "classes 2: road, wall (x.onnx has labels)",
    )
    assert Provenance.everywhere(default("mmcv does so")).assumptions(SPEC) == ()


def test_every_value_has_words_and_a_reading_of_the_same_name() -> None:
    words = in_words(SPEC)
    assert list(words) == list(Provenance.everywhere(read("x")).readings())
    assert words["size_rule"] == "resize to fit 360x480 (height x width), aspect ratio kept (pillow, bicubic)"
    assert words["padding"] == "pad to a multiple of 32 with 0, once normalised"
    assert words["inference"] == "windows of 64x64, every 48x48 (height x width)"
    assert words["threshold"] == "label 1 above 0.3"
    assert words["palette"] == "#000000, #804080"
