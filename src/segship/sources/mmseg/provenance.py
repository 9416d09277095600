"""From where the values of a config and a checkpoint are read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from segship.core.provenance import Provenance, assumed, default, read
from segship.datasets import layout_of_mmseg_type
from segship.sources.mmseg.classes import find_names, name_classes
from segship.sources.mmseg.pipeline import find_dataset, find_pipeline, read_pipeline
from segship.sources.mmseg.spec import DEFAULT_THRESHOLD, IGNORED, data_preprocessor, model_test_cfg

if TYPE_CHECKING:
    from collections.abc import Mapping

    from segship.core.provenance import Reading
    from segship.networks.network import Network

__all__ = ["find_provenance"]


def find_provenance(
    file: str, values: Mapping[str, Any], network: Network, meta: Mapping[str, Any], notes: tuple[str, ...]
) -> Provenance:
    """Return the place of each value that `segship.sources.mmseg.spec.build_spec` finds, with the same arguments.

    Args:
        file: Name of the config.
        values: The config.
        network: Built from it.
        meta: Meta data of the checkpoint; may be empty.
        notes: The ones of ``build_spec``.
    """
    places = _Places(file, values)
    classes, palette = places.classes(network, meta)
    return Provenance(
        channel_order=places.channel_order(),
        normalization=places.told("mean", "Normalize", "MMSegmentation normalises nothing unless it is told to"),
        size_rule=places.size_rule(),
        padding=places.told("test_cfg", "Pad", "MMSegmentation pads nothing unless it is told to"),
        inference=places.inference(),
        output=places.at("model.decode_head"),
        threshold=places.threshold(network),
        classes=classes,
        palette=palette,
        ignored=tuple(note.removeprefix(IGNORED) for note in notes if note.startswith(IGNORED)),
    )


class _Places:
    """The places of a config."""

    def __init__(self, file: str, values: Mapping[str, Any]) -> None:
        self._file, self._values = file, values
        self._transforms, _ = find_pipeline(values)
        self._pipeline = read_pipeline(self._transforms or [])
        self._preprocessor = data_preprocessor(values)

    def at(self, key: str) -> Reading:
        return read(f"{self._file}: {key}")

    def channel_order(self) -> Reading:
        if self._pipeline.stored:
            return self.at("test_pipeline")
        if self._pipeline.normalization is not None:
            return self.at("test_pipeline: Normalize")
        told = [key for key in ("bgr_to_rgb", "rgb_to_bgr") if key in self._preprocessor]
        return self.at(f"data_preprocessor.{told[0]}") if told else default("MMSegmentation loads images as BGR")

    def told(self, key: str, transform: str, otherwise: str) -> Reading:
        """What the data preprocessor tells in 1.x, and a transform in 0.x."""
        found = self._pipeline.normalization if transform == "Normalize" else self._pipeline.padding
        if found is not None:
            return self.at(f"test_pipeline: {transform}")
        return self.at(f"data_preprocessor.{key}") if self._preprocessor.get(key) is not None else default(otherwise)

    def size_rule(self) -> Reading:
        if self._transforms is None:
            return assumed(f"{self._file} has no test pipeline")
        return self.at("test_pipeline")

    def inference(self) -> Reading:
        test = model_test_cfg(self._values)
        told = isinstance(test, dict) and "mode" in test
        return self.at("model.test_cfg.mode") if told else default("MMSegmentation shows the network the whole image")

    def threshold(self, network: Network) -> Reading:
        if network.out_channels != 1:
            return default("MMSegmentation takes the greatest score")
        if network.threshold is None:
            return default(f"MMSegmentation takes {DEFAULT_THRESHOLD}")
        return self.at("model.decode_head.threshold")

    def classes(self, network: Network, meta: Mapping[str, Any]) -> tuple[Reading, Reading]:
        """The places of the names and of the colours."""
        dataset, count = find_dataset(self._values), 2 if network.out_channels == 1 else network.num_classes
        place = find_names(count, meta, dataset)
        if not place:
            why = name_classes(count, meta, dataset).notes[0].partition(":")[0]
            return assumed(why), default("made for as many classes")
        layout = layout_of_mmseg_type(str(dataset.get("type")).rpartition(".")[2])
        return read(place), read(place if layout is None else f"{place}, or the data set {layout.title}")
