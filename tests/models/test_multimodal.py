"""Side Adapter Networks: their parts, and what they are given the names of their classes by."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
import torch.nn.functional as F

from segship import load_network
from segship.capture import capture
from segship.capture.options import CaptureOptions
from segship.core.errors import ConfigError, InputError, UnsupportedError
from segship.models.heads.san import SideAdapterCLIPHead
from segship.models.layers.adaptive_max import adaptive_max_pool2d
from segship.models.layers.clip import scaled
from segship.models.multimodal import MultimodalEncoderDecoder
from segship.reading.clip_vocabulary import FILES, read_vocabulary
from segship.sources import load
from support.fill import fill_network
from support.references import configs

SMALL = {
    "model.image_encoder.embed_dims": 16,
    "model.image_encoder.num_heads": 2,
    "model.image_encoder.num_layers": 3,
    "model.image_encoder.out_indices": (0, 1, 2),
    "model.text_encoder.embed_dims": 16,
    "model.text_encoder.num_heads": 2,
    "model.text_encoder.num_layers": 1,
    "model.text_encoder.output_dims": 8,
    "model.decode_head.san_cfg.clip_channels": 16,
    "model.decode_head.san_cfg.embed_dims": 12,
    "model.decode_head.san_cfg.num_queries": 3,
    "model.decode_head.san_cfg.cfg_encoder": {"num_encode_layer": 3, "num_heads": 2, "mlp_ratio": 2},
    "model.decode_head.san_cfg.cfg_decoder.num_heads": 2,
    "model.decode_head.maskgen_cfg.sos_token_num": 3,
    "model.decode_head.maskgen_cfg.num_layers": 1,
    "model.decode_head.maskgen_cfg.embed_dims": 16,
    "model.decode_head.maskgen_cfg.num_heads": 2,
    "model.decode_head.maskgen_cfg.out_dims": 8,
}
CONFIG = "san/san-vit-b16_voc12aug-640x640.py"


def vocabulary() -> Path:
    """CLIP's vocabulary, from MMSegmentation's wheel."""
    file = configs().parents[1] / "utils" / FILES[0]
    if not file.is_file():
        pytest.skip(f"CLIP's vocabulary is not here: {file}")
    return file


def small(**changes: Any) -> MultimodalEncoderDecoder:
    network = load_network(configs() / CONFIG, cfg_options=SMALL | changes)
    assert isinstance(network, MultimodalEncoderDecoder)
    fill_network(network, {"query_mlp.layers.2.weight": 0.001, "logit_scale": 9.0})
    network.settle()
    return network


@pytest.mark.parametrize("size", [(4, 5), (1, 1), (7, 3), (8, 10)])
def test_windows_of_the_greatest_values_are_torchs(size: tuple[int, int]) -> None:
    x = torch.randn(2, 3, 8, 10, generator=torch.Generator().manual_seed(0))
    assert torch.equal(adaptive_max_pool2d(x, size, widest=12), F.adaptive_max_pool2d(x, size))


@pytest.mark.parametrize("factor", [0.5, 0.7, 1.5])
def test_resizing_by_a_factor_is_torchs(factor: float) -> None:
    x = torch.randn(2, 3, 32, 96, generator=torch.Generator().manual_seed(0))
    expected = F.interpolate(x, scale_factor=factor, mode="bilinear")
    torch.testing.assert_close(scaled(x, factor), expected, rtol=0, atol=1e-5)


def test_without_names_of_classes_running_it_says_why_that_is_impossible() -> None:
    network = small()
    assert network.num_classes == 20
    with pytest.raises(UnsupportedError, match="vocabulary"):
        network(torch.zeros(1, 3, 32, 32))


def test_one_graph_serves_sizes_of_every_shape(tmp_path: Path) -> None:
    network = small(clip_vocabulary=str(vocabulary())).requires_grad_(requires_grad=False)
    capture(network, tmp_path / "san.onnx", CaptureOptions(size=(64, 96)))
    session = onnxruntime.InferenceSession(tmp_path / "san.onnx")
    for shape in ((1, 3, 64, 96), (2, 3, 160, 64), (1, 3, 77, 131)):
        image = torch.randn(shape, generator=torch.Generator().manual_seed(0))
        (found,) = session.run(None, {session.get_inputs()[0].name: image.numpy()})
        expected = network(image).numpy()
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * np.abs(expected).max())


def test_the_vocabulary_lies_beside_the_checkpoint_or_is_named(tmp_path: Path) -> None:
    files = (configs() / CONFIG, tmp_path / "san.pth")
    torch.save({"state_dict": small().state_dict()}, files[1])
    with pytest.raises(InputError, match=r"put bpe_simple_vocab_16e6\.txt\.gz beside the config.*clip_vocabulary=FILE"):
        load(*files, cfg_options=SMALL)
    with pytest.raises(InputError, match="'nowhere', where no file is"):
        load(*files, cfg_options=SMALL | {"clip_vocabulary": "nowhere"})
    named = load(*files, cfg_options=SMALL | {"clip_vocabulary": str(vocabulary())})
    lines = gzip.decompress(vocabulary().read_bytes()).decode().split("\n")
    (tmp_path / "merges.txt").write_text("\n".join(["#version: 0.2", *lines[1:48895]]) + "\n", encoding="utf-8")
    beside = load(*files, cfg_options=SMALL)
    assert "merges.txt" in beside.origin
    for one in (beside, named):
        assert isinstance(one.network, MultimodalEncoderDecoder)
        assert one.network.classifier.shape == (21, 8)
        assert one.network.classifier.isfinite().all()
    assert torch.equal(beside.network.classifier, named.network.classifier)  # type: ignore[union-attr,arg-type]


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"model.text_encoder.dataset_name": "lip"}, UnsupportedError, "dataset_name is 'lip'"),
        ({"model.text_encoder.dataset_name": "ade"}, ConfigError, "names 150 classes, but model.decode_head has 20"),
        ({"model.text_encoder.vocabulary": ["a"]}, ConfigError, "either dataset_name or vocabulary"),
        ({"model.text_encoder.templates": "imagenet"}, UnsupportedError, "'vild' is provided"),
        ({"model.text_encoder.total_vocab_size": 99}, ConfigError, "has 99 tokens, but CLIP's vocabulary 49408"),
        ({"model.text_encoder.cat_bg": False}, ConfigError, "without the background"),
        ({"model.encoder_resolution": None}, ConfigError, "needs encoder_resolution"),
        ({"model.encoder_resolution": "half"}, ConfigError, "encoder_resolution is 'half'"),
        ({"model.asymmetric_input": False}, ConfigError, "'asymmetric_input'. Did you mean 'asymetric_input'"),
        ({"model.decode_head.san_cfg.num_queries": 4}, ConfigError, "proposes 4 masks"),
        ({"model.decode_head.san_cfg.cfg_decoder.num_heads": 3}, ConfigError, "3 heads of 1 layers"),
        ({"model.decode_head.maskgen_cfg.cross_attn": True}, UnsupportedError, "cross_attn=True"),
    ],
)
def test_what_does_not_fit_is_refused(changes: dict[str, Any], error: type[Exception], words: str) -> None:
    options = SMALL | {"clip_vocabulary": str(vocabulary())} | changes
    with pytest.raises(error, match=words):
        load_network(configs() / CONFIG, cfg_options=options)


def test_other_mask_tokens_than_the_class_token_are_refused() -> None:
    with torch.device("meta"), pytest.raises(UnsupportedError, match="'cls_token' only"):
        SideAdapterCLIPHead(
            5,
            san_cfg={"cfg_encoder": {"num_encode_layer": 1, "num_heads": 2, "mlp_ratio": 2}, "cfg_decoder": {}},
            maskgen_cfg={"sos_token_format": "learnable_token"},
        )


# Numbers of MMSegmentation 1.2.2's own tokenizer.
@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("a photo of a traffic light.", [320, 1125, 539, 320, 3399, 1395, 269]),
        ("This is a photo of a Ambiguous Barrier", [589, 533, 320, 1125, 539, 320, 35702, 879, 15706]),
    ],
)
def test_texts_become_clips_own_numbers(text: str, numbers: list[int]) -> None:
    read = read_vocabulary(vocabulary())
    assert read.tokens(text, most=77) == [49406, *numbers, 49407]
    assert read.tokens(text, most=5) == [49406, *numbers[:3], 49407]
    with pytest.raises(UnsupportedError, match=r"none of ASCII|no printed ones"):
        read.tokens("a caf&eacute;", most=77)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"#version\na b\n", "expected 48894 different pairs"),
        (b"\x1f\x8bnothing", "cannot be read"),
        (gzip.compress(bytes(2**24)), "more than 8388608 bytes"),
        (b"\xff\xfe", "is not text"),
    ],
)
def test_other_files_are_no_vocabulary(content: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "merges.txt").write_bytes(content)
    with pytest.raises(ConfigError, match=words):
        read_vocabulary(tmp_path / "merges.txt")
