"""From where the values of a config and a checkpoint are read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from segship.core.provenance import Provenance, assumed, default, read
from segship.sources import IGNORED
from segship.sources.mmseg.spec import DEFAULT_THRESHOLD, data_preprocessor, model_test_cfg
from segship.sources.mmseg.tested import find_pipeline, locate_dataset

if TYPE_CHECKING:
    from collections.abc import Mapping

    from segship.core.provenance import Reading
    from segship.networks.network import Network
    from segship.sources.mmseg.pipeline import Pipeline
    from segship.sources.mmseg.spec import Contract

__all__ = ["find_provenance"]


def find_provenance(file: str, values: Mapping[str, Any], network: Network, contract: Contract) -> Provenance:
    """Return the place of each value that `segship.sources.mmseg.spec.build_spec` finds.

    Args:
        file: Name of the config.
        values: The config.
        network: Built from it.
        contract: What ``build_spec`` made of the two.
    """
    places = _Places(file, values, contract.pipeline)
    return Provenance(
        channel_order=places.channel_order(),
        normalization=places.told("mean", "Normalize", "MMSegmentation normalises nothing unless it is told to"),
        size_rule=places.size_rule(),
        padding=places.told("test_cfg", "Pad", "MMSegmentation pads nothing unless it is told to"),
        inference=places.inference(),
        output=places.at("model.decode_head"),
        threshold=places.threshold(network),
        classes=contract.classes.named,
        palette=contract.classes.coloured,
        ignored=tuple(note.removeprefix(IGNORED) for note in contract.notes if note.startswith(IGNORED)),
    )


class _Places:
    """The places of a config."""

    def __init__(self, file: str, values: Mapping[str, Any], pipeline: Pipeline) -> None:
        self._file, self._values, self._pipeline = file, values, pipeline
        self._has_pipeline = find_pipeline(values)[0] is not None
        named = values.get("test_pipeline") is not None
        self._key = "test_pipeline" if named else f"{locate_dataset(values)[0]}.pipeline"
        self._preprocessor = data_preprocessor(values)

    def at(self, key: str) -> Reading:
        return read(f"{self._file}: {key}")

    def channel_order(self) -> Reading:
        if self._pipeline.loading.kind != "colour" or self._pipeline.grey is not None:
            return self.at(self._key)
        if self._pipeline.normalization is not None:
            return self.at(f"{self._key}: Normalize.to_rgb")
        told = [key for key in ("bgr_to_rgb", "rgb_to_bgr") if key in self._preprocessor]
        return self.at(f"data_preprocessor.{told[0]}") if told else default("MMSegmentation loads images as BGR")

    def told(self, key: str, transform: str, otherwise: str) -> Reading:
        """What the data preprocessor tells in 1.x, and a transform in 0.x."""
        found = self._pipeline.normalization if transform == "Normalize" else self._pipeline.padding
        if found is not None:
            return self.at(f"{self._key}: {transform}")
        return self.at(f"data_preprocessor.{key}") if self._preprocessor.get(key) is not None else default(otherwise)

    def size_rule(self) -> Reading:
        return self.at(self._key) if self._has_pipeline else assumed(f"{self._file} has no test pipeline")

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
