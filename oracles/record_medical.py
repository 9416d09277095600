"""Record what nnU-Net 2 and MONAI compute themselves with small networks of two dimensions.

Run it where both are installed (``pip install nnunetv2 monai``)::

    python oracles/record_medical.py [--to tests/references]

The weights are those of ``tests/support/fill.py`` by the library's own keys, so that none are stored. It writes
``nnunet/NAME/plans.json`` and ``dataset.json``, ``monai/NAME/configs/inference.json``, ``state.json`` (name and shape
of each weight), and ``masks.npz`` beside them.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from support import medical


def named(network: torch.nn.Module, file: Path) -> dict[str, Any]:
    """Name and shape of each weight, kept in a file."""
    state = medical.once(network.state_dict(keep_vars=True))
    file.write_text(json.dumps(state) + "\n", encoding="utf-8")
    return state


def record_nnunet(name: str, image: np.ndarray, folder: Path) -> dict[str, np.ndarray]:
    """Labels of nnU-Net's own predictor, one fold and two, with and without mirroring, and at odd steps."""
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    plans, dataset = medical.plans(name), medical.DATASET
    folder.mkdir(parents=True, exist_ok=True)
    for file, values in (("plans.json", plans), ("dataset.json", dataset)):
        (folder / file).write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
    manager = PlansManager(plans)
    configuration = manager.get_configuration("2d")
    network = nnUNetTrainer.build_network_architecture(
        manager, configuration, 3, len(dataset["labels"]), enable_deep_supervision=False
    )
    state = named(network, folder / "state.json")
    folds = [medical.weights(state, f"{fold}:") for fold in range(2)]
    found = {}
    pixels = image.transpose(2, 0, 1)[:, None].astype(np.float32)

    def predicted(count: int, **options: Any) -> np.ndarray:
        predictor = nnUNetPredictor(device=torch.device("cpu"), allow_tqdm=False, **options)
        predictor.manual_initialization(
            network, manager, configuration, folds[:count], dataset, "nnUNetTrainer", (0, 1)
        )
        return predictor.predict_single_npy_array(pixels, {"spacing": (999, 1, 1)})[0].astype(np.uint8)

    for count in (1, 2):
        for mirror in (False, True):
            found[f"{name}_{count}_{'mirror' if mirror else 'plain'}"] = predicted(count, use_mirroring=mirror)
    for step in medical.STEPS:
        found[f"{name}_step{step}"] = predicted(1, use_mirroring=False, tile_step_size=step)
    return found


def record_monai(name: str, _: np.ndarray, folder: Path) -> dict[str, np.ndarray]:
    """Labels of a bundle's own preprocessing, inferer and postprocessing; height first."""
    from monai.bundle import ConfigParser

    config = medical.bundle(name)
    (folder / "configs").mkdir(parents=True, exist_ok=True)
    (folder / "configs" / "inference.json").write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
    parser = ConfigParser(config)
    network = parser.get_parsed_content("network_def").eval()
    network.load_state_dict(medical.weights(named(network, folder / "state.json"), ""))
    place = folder.parent / "image.png"
    data = parser.get_parsed_content("preprocessing")({"image": str(place)})
    with torch.inference_mode():
        data["pred"] = parser.get_parsed_content("inferer")(data["image"][None].as_tensor(), network)[0]
    mask = parser.get_parsed_content("postprocessing")(data)["pred"][0]
    return {name: np.asarray(mask).T.astype(np.uint8)}


def main() -> None:
    """Record both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--to", type=Path, default=Path(__file__).parents[1] / "tests" / "references")
    to = parser.parse_args().to
    image = np.asarray(Image.open(to / "pipeline" / "street_300x401.png").convert("RGB"))[100:191, 60:181]
    framed = np.maximum(image, 1)
    framed[:7], framed[:, 110:] = 0, 0  # borders that nnU-Net cuts off
    records: dict[str, tuple[Any, tuple[str, ...], np.ndarray]] = {
        "nnunet": (record_nnunet, medical.PLANS, framed),
        "monai": (record_monai, medical.BUNDLES, np.maximum(image, 1)),
    }
    for kind, (record, names, image) in records.items():
        (to / kind).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(to / kind / "image.png")
        found: dict[str, np.ndarray] = {}
        for name in names:
            found |= record(name, image, to / kind / name)
        np.savez_compressed(to / kind / "masks.npz", **found)
        print({key: np.bincount(mask.reshape(-1)) for key, mask in found.items()})


if __name__ == "__main__":
    main()
