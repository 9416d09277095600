"""The classifier of a Side Adapter Network: names of classes in sentences, as the tokens of CLIP's vocabulary.

Sources: upstream ``mmseg/models/text_encoder/clip_text_encoder.py``; the sentences are ViLD's (arXiv:2104.13921).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from segship.core.errors import ConfigError, InputError, UnsupportedError
from segship.core.files import digest
from segship.datasets import layout_of_mmseg_type
from segship.reading.clip_vocabulary import FILES, read_vocabulary

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from segship.core.files import FileDigest
    from segship.models.multimodal import MultimodalEncoderDecoder
    from segship.models.text_encoders.clip import CLIPTextEncoder
    from segship.reading.clip_vocabulary import Vocabulary

__all__ = ["OPTION", "class_names", "name_classes"]

OPTION = "clip_vocabulary"
"""What the option is called that names the file of the vocabulary."""

_FRAMES = (("a photo of", ""), ("This is a photo of", ""), ("There is", " in the scene"))
_VILD = (
    "a photo of a {}.",
    "This is a photo of a {}",
    "There is a {} in the scene",
    "There is the {} in the scene",
    "a photo of a {} in the scene",
    *(f"{start} a {size} {{}}{end}." for start, end in _FRAMES for size in ("small", "medium", "large")),
)
_COCO_STUFF = "COCOStuffDataset"
_TYPES: Mapping[str, str] = {
    "ade": "ADE20KDataset",
    "ade20k": "ADE20KDataset",
    "bdd100k": "BDD100KDataset",
    "cityscapes": "CityscapesDataset",
    "isaid": "iSAIDDataset",
    "iSAID": "iSAIDDataset",
    "loveda": "LoveDADataset",
    "mapillary_v1": "MapillaryDataset_v1",
    "mapillary_v2": "MapillaryDataset_v2",
    "pascal_context": "PascalContextDataset59",
    "pascal_voc": "PascalVOCDataset",
    "pcontext": "PascalContextDataset59",
    "potsdam": "PotsdamDataset",
    "stare": "STAREDataset",
    "STARE": "STAREDataset",
    "vaihingen": "ISPRSDataset",
    "voc": "PascalVOCDataset",
    "voc12": "PascalVOCDataset",
    "voc12aug": "PascalVOCDataset",
    "voc2010": "PascalContextDataset59",
    **{f"coco{mark}stuff{size}": _COCO_STUFF for mark in ("", "-", "_") for size in ("", "10k", "164k")},
}
"""The data set of each name that ``mmseg.utils.get_classes`` knows."""


def name_classes(
    network: MultimodalEncoderDecoder, values: Mapping[str, Any], places: Sequence[Path]
) -> dict[str, FileDigest]:
    """Give a network its classifier, by the vocabulary that the user has.

    Args:
        network: Its weights are loaded.
        values: The config; ``clip_vocabulary`` names the file.
        places: Folders in which it is looked for where the config does not name it.

    Returns:
        Name and digest of the file.

    Raises:
        InputError: The file is not there.
        ConfigError: It is no vocabulary, or the config names no classes, or another number of them.
        UnsupportedError: The names or sentences are not provided.
    """
    encoder = network.text_encoder
    names, sentences = class_names(encoder), _sentences(encoder.templates)
    if len(names) != network.num_classes or not encoder.cat_bg:
        raise ConfigError(
            f"model.text_encoder names {len(names)} classes{'' if encoder.cat_bg else ' without the background'}, but "
            f"model.decode_head has {network.num_classes} and the background"
        )
    file = _file(values.get(OPTION), places)
    network.name_classes(_tokens(read_vocabulary(file), encoder, names, sentences))
    return {file.name: digest(file)}


def class_names(encoder: CLIPTextEncoder) -> tuple[str, ...]:
    """The names that a text encoder's config gives, or those of its data set without the background.

    Raises:
        ConfigError: It gives none, or both.
        UnsupportedError: The data set is not known.
    """
    given, dataset = encoder.vocabulary, encoder.dataset_name
    if (given is None) == (dataset is None):
        raise ConfigError("model.text_encoder takes either dataset_name or vocabulary, the names of the classes")
    if given is not None:
        if not isinstance(given, (list, tuple)) or not all(isinstance(name, str) for name in given):
            raise ConfigError(f"model.text_encoder.vocabulary is {given!r:.60}, expected a list of names")
        return tuple(given)
    layout = layout_of_mmseg_type(_TYPES.get(str(dataset), ""))
    if layout is None:
        raise UnsupportedError(
            f"model.text_encoder.dataset_name is {dataset!r:.60}, known are {', '.join(sorted(_TYPES))}: name "
            "the classes in vocabulary=[…] instead"
        )
    background = layout.classes[0].lower() == "background"
    return layout.classes[1:] if background else layout.classes


def _sentences(templates: Any) -> tuple[str, ...]:
    if templates == "vild":
        return _VILD
    listed = isinstance(templates, (list, tuple)) and bool(templates)
    if listed and all(isinstance(text, str) and _has_one_place(text) for text in templates):
        return tuple(templates)
    raise UnsupportedError(
        f"model.text_encoder.templates is {templates!r:.60}: 'vild' is provided, and a list of sentences with one {{}} "
        "each"
    )


def _has_one_place(sentence: str) -> bool:
    return sentence.count("{}") == sentence.count("{") == sentence.count("}") == 1


def _file(named: Any, places: Sequence[Path]) -> Path:
    if named is not None:
        file = Path(str(named))
        if not file.is_file():
            raise InputError(f"{OPTION} is {str(named)!r:.200}, where no file is")
        return file
    for file in (place / name for place in places for name in FILES):
        if file.is_file():
            return file
    raise InputError(
        "SAN's classifier is CLIP's text encoder applied to the class names, and the vocabulary that this takes is "
        f"part of neither config nor checkpoint: put {FILES[0]} beside the config (it lies in mmseg/utils of "
        f"MMSegmentation, and in open_clip), or {FILES[1]} of a CLIP tokenizer, or name it by "
        f"--cfg-options {OPTION}=FILE"
    )


def _tokens(
    vocabulary: Vocabulary, encoder: CLIPTextEncoder, names: Sequence[str], sentences: Sequence[str]
) -> torch.Tensor:
    """The tokens of each name in each sentence, as long as the longest: (sentences, names, L)."""
    texts = [
        [vocabulary.tokens(text.replace("{}", name), most=encoder.context_length) for name in names]
        for text in sentences
    ]
    length = max(len(one) for row in texts for one in row)
    if vocabulary.end >= encoder.token_embedding.num_embeddings:
        raise ConfigError(
            f"model.text_encoder has {encoder.token_embedding.num_embeddings} tokens, but CLIP's vocabulary "
            f"{vocabulary.end + 1}"
        )
    return torch.tensor([[one + [0] * (length - len(one)) for one in row] for row in texts])
