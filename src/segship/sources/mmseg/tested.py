"""Where a config says what is tested on: the data set, and the pipeline that prepares its images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["find_dataset", "find_pipeline", "locate_dataset"]

_SPLITS = (("test_dataloader", "test"), ("val_dataloader", "val"))


def find_pipeline(values: Mapping[str, Any]) -> tuple[Any, str]:
    """Return the test pipeline of a config, and a note about the choice or an empty string.

    MMSegmentation's ``inference_model`` takes ``test_pipeline``; its test loop takes the data set's.
    """
    of_dataset = find_dataset(values).get("pipeline")
    named = values.get("test_pipeline")
    if named is None:
        return of_dataset, ""
    if of_dataset is not None and of_dataset != named:
        return named, (
            "The config's test_pipeline differs from the pipeline of its test data set; test_pipeline was taken, as "
            "MMSegmentation's inference_model does"
        )
    return named, ""


def find_dataset(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the test data set of a config, out of its wrappers; empty where there is none."""
    return locate_dataset(values)[1]


def locate_dataset(values: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return the key of the test data set of a config, and the data set as `find_dataset` returns it."""
    old = values.get("data")
    for loader, split in _SPLITS:
        new = values.get(loader)
        for key, found in (
            (f"{loader}.dataset", new.get("dataset") if isinstance(new, dict) else None),
            (f"data.{split}", old.get(split) if isinstance(old, dict) else None),
        ):
            if dataset := _unwrap(found):
                return key, dataset
    return "", {}


def _unwrap(dataset: Any) -> dict[str, Any]:
    """The first data set within ConcatDataset, RepeatDataset and the like."""
    for _ in range(10):
        if isinstance(dataset, (list, tuple)) and dataset:
            dataset = dataset[0]
        elif isinstance(dataset, dict) and isinstance(dataset.get("dataset"), dict):
            dataset = dataset["dataset"]
        elif isinstance(dataset, dict) and isinstance(dataset.get("datasets"), (list, tuple)):
            dataset = dataset["datasets"]
        else:
            break
    return dataset if isinstance(dataset, dict) else {}
