"""Every config of MMSegmentation builds, with exactly the state-dict keys and shapes of the real network."""

from __future__ import annotations

import hashlib
import json

import pytest
import torch

from segship import load_network
from segship.core.errors import UnsupportedError
from support.references import REFERENCES, configs

ZOO = json.loads((REFERENCES / "zoo.json").read_text())
BUILT = sorted(config for config, record in ZOO.items() if "sha256" in record)
REFUSED = sorted(set(ZOO) - set(BUILT))


def fingerprint(network: torch.nn.Module) -> str:
    lines = sorted(f"{key} {'x'.join(map(str, value.shape))}" for key, value in network.state_dict().items())
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


@pytest.mark.slow
@pytest.mark.parametrize("family", sorted({config.split("/")[0] for config in BUILT}))
def test_keys_and_shapes_equal_mmsegmentations(family: str) -> None:
    members = [config for config in BUILT if config.startswith(f"{family}/")]
    different = []
    for config in members:
        with torch.device("meta"):
            network = load_network(configs() / config, with_auxiliary=True)
        if fingerprint(network) != ZOO[config]["sha256"]:
            different.append(config)
    assert not different


def test_the_zoo_is_the_one_that_was_recorded() -> None:
    assert (len(BUILT), len(REFUSED)) == (679, 2)


@pytest.mark.parametrize("config", REFUSED)
def test_what_is_not_provided_says_why(config: str) -> None:
    with pytest.raises(UnsupportedError, match="diffusion"):
        load_network(configs() / config)
