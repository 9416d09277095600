"""One black-box suite for all engines: the demo's trained network, exported in every precision and shape of each.

What is tested is what ``segship export`` makes, opened as users open it.
"""

from __future__ import annotations

import importlib.util
import inspect
import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from segship.backends import backend_names, default_device, find_backend
from segship.core.artifacts import Engine, Session
from segship.core.errors import BackendError
from segship.core.manifest import MANIFEST
from segship.core.spec import ModelSpec
from segship.core.target import Shape, Target
from segship.deploy import Int8, export
from segship.networks.session import EagerSession
from segship.runtime.package import PackageFiles, find_package
from segship.sources import Loaded, load
from segship.vision.decode import read_image
from segship.vision.image_files import find_images
from segship.vision.preprocess import prepare
from support.demo import ASSETS, small_demo

TRACED, OTHERS = (128, 192), ((161, 225), (96, 160))
# Least share of equal labels, on masks of a trained network, and greatest mean difference of the logits.
TOLERANCES = {"fp32": (0.9999, 1e-5), "fp16": (0.995, 2e-3), "bf16": (0.98, 1e-2), "int8": (0.95, 5e-2)}
OPTIONS = {"workspace": 4096}  # of the engines that have such a one
THREADS, RUNS = 4, 12
Case = tuple[str, str, str]  # backend, precision, shape
Request = pytest.FixtureRequest
Build = Callable[[Case], PackageFiles]


def cases() -> list[Case]:
    found = []
    for name in backend_names():
        info = find_backend(name).INFO
        shapes = ("dynamic", "static") if info.dynamic else ("static",)
        found += [(name, precision, shape) for precision in info.precisions for shape in shapes]
    return found


def marked(case: Case) -> Any:
    """Lowering a quantised program to XNNPACK takes a minute; a tiny one is tested in tests/quantize."""
    return pytest.param(case, marks=pytest.mark.slow) if case[:2] == ("executorch", "int8") else case


def require(name: str, request: Request) -> None:
    chosen = request.config.getoption("--backends")
    if chosen and name not in chosen.split(","):
        pytest.skip("not among --backends")
    info = find_backend(name).INFO
    missing = [module for module in info.modules if importlib.util.find_spec(module) is None]
    if missing:
        pytest.skip(f"{info.title} is not installed here: pip install segship[{info.extra}]")
    device = find_backend(name).probe()[0]
    if not device.usable:
        pytest.skip(f"{info.title} cannot run here: {device.note}")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return small_demo(tmp_path_factory.mktemp("demo"))


@pytest.fixture(scope="module")
def network(files: tuple[Path, Path]) -> Loaded:
    return load(*files)


@pytest.fixture(scope="module")
def scenes() -> list[np.ndarray]:
    return [read_image(path) for path in find_images([ASSETS / "images"])[:4]]


def at(image: np.ndarray, size: tuple[int, int], spec: ModelSpec) -> np.ndarray:
    resized = np.asarray(cv2.resize(image, (size[1], size[0])), np.uint8)
    return prepare(resized, spec.model_copy(update={"geometry": (), "padding": None})).tensor


@pytest.fixture(scope="module")
def build(files: tuple[Path, Path], scenes: list[np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> Build:
    made: dict[Case, PackageFiles] = {}
    calibration = tmp_path_factory.mktemp("calibration")
    for place, scene in enumerate(scenes):
        cv2.imwrite(str(calibration / f"{place}.png"), cv2.resize(scene, TRACED[::-1]))

    def make(case: Case) -> PackageFiles:
        name, precision, shape = case
        info = find_backend(name).INFO
        if precision == "int8" and info.quantizer == "nncf":  # others bring their own
            pytest.importorskip("nncf", reason="int8 needs segship[int8]")
        if case not in made:  # some engines take half a minute to build
            target = Target(
                backend=name,
                precision=precision,
                shape=Shape() if shape == "dynamic" else Shape.only(*TRACED),
                options={key: value for key, value in OPTIONS.items() if key in info.options},
            )
            # The gates of fp32 are the product's; what less precision may cost is told by TOLERANCES.
            int8 = Int8(calibration=calibration, agreement=0.9) if precision == "int8" else None
            inexact = precision != "fp32"
            folder = tmp_path_factory.mktemp("-".join(case)) / "package"
            package = export(*files, folder, target=target, int8=int8, allow_inexact=inexact)
            made[case] = find_package(package.path)
        return made[case]

    return make


def opened(package: PackageFiles) -> Session:
    return package.session(trust=True)


@pytest.mark.filterwarnings("ignore")  # engines' own
@pytest.mark.parametrize("case", [marked(case) for case in cases()], ids="-".join)
def test_an_engine_gives_the_networks_masks(
    case: Case,
    build: Build,
    network: Loaded,
    scenes: list[np.ndarray],
    request: Request,
) -> None:
    require(case[0], request)
    package = build(case)
    inputs = [at(scenes[0], TRACED, network.spec)]
    if case[2] == "dynamic":
        inputs += [at(scenes[0], size, network.spec) for size in OTHERS]
        inputs.append(np.concatenate([at(scene, OTHERS[1], network.spec) for scene in scenes[:2]]))
    eager = EagerSession(network.network)
    equal, difference = [], []
    with opened(package) as session:
        for image in inputs:
            expected, found = eager.run({"image": image})["logits"], session.run({"image": image})["logits"]
            assert found.dtype == np.float32
            assert found.shape == expected.shape
            equal.append((found.argmax(1) == expected.argmax(1)).ravel())
            difference.append(float(np.abs(found - expected).mean() / np.abs(expected).max()))
    labels, mean = TOLERANCES[case[1]]
    assert np.concatenate(equal).mean() >= labels
    assert max(difference) <= mean
    written = [path for path in package.directory.rglob("*") if path.is_file()]
    names = {path.relative_to(package.directory).as_posix() for path in written}
    assert names == {*package.manifest.files, MANIFEST}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("case", [marked(case) for case in cases()], ids="-".join)
def test_threads_that_share_a_session_get_what_they_would_alone(
    case: Case,
    build: Build,
    network: Loaded,
    scenes: list[np.ndarray],
    request: Request,
) -> None:
    require(case[0], request)
    with opened(build(case)) as session:
        images = [at(scene, TRACED, network.spec) for scene in scenes[:THREADS]]
        alone = [session.run({"image": image})["logits"] for image in images]
        apart = min(float(np.abs(one - other).max()) for one, other in itertools.pairwise(alone))

        def work(place: int) -> list[float]:
            found = [session.run({"image": images[place]})["logits"] for _ in range(RUNS)]
            return [float(np.abs(logits - alone[place]).max()) for logits in found]

        with ThreadPoolExecutor(THREADS) as pool:
            differences = [each for found in pool.map(work, range(THREADS)) for each in found]
    assert len(differences) == THREADS * RUNS
    assert max(differences) < 1e-3 * apart


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("case", [case for case in cases() if case[1] == "fp32"], ids="-".join)
def test_a_closed_session_is_refused_and_no_other_is_disturbed(
    case: Case,
    build: Build,
    network: Loaded,
    scenes: list[np.ndarray],
    request: Request,
) -> None:
    require(case[0], request)
    package, feeds = build(case), {"image": at(scenes[0], TRACED, network.spec)}
    with opened(package) as other:
        with opened(package) as session:
            expected = session.run(feeds)["logits"]
        with pytest.raises(BackendError, match=r"^the session of .* is closed: open the package again"):
            session.run(feeds)
        session.close()
        assert np.allclose(other.run(feeds)["logits"], expected, atol=1e-5)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("case", [case for case in cases() if case[1:] == ("fp32", "static")], ids="-".join)
def test_a_number_of_threads_is_taken_or_refused(
    case: Case,
    build: Build,
    network: Loaded,
    scenes: list[np.ndarray],
    request: Request,
) -> None:
    require(case[0], request)
    package, feeds = build(case), {"image": at(scenes[0], TRACED, network.spec)}
    if not find_backend(case[0]).INFO.threads:
        with pytest.raises(BackendError, match="threads"):
            package.session(threads=1, trust=True)
        return
    with opened(package) as session:
        expected = session.run(feeds)["logits"]
    with package.session(threads=1, trust=True) as session:
        assert np.allclose(session.run(feeds)["logits"], expected, atol=1e-4)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("case", [case for case in cases() if case[1] == "fp32"], ids="-".join)
def test_runs_do_not_disturb_each_other(
    case: Case,
    build: Build,
    network: Loaded,
    scenes: list[np.ndarray],
    request: Request,
) -> None:
    require(case[0], request)
    with opened(build(case)) as session:
        first, second = (at(scene, TRACED, network.spec) for scene in scenes[:2])
        kept = session.run({"image": first})["logits"]
        copy = kept.copy()
        session.run({"image": second})
        assert np.array_equal(kept, copy)
        assert np.allclose(session.run({"image": first})["logits"], copy, atol=1e-5)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("case", [case for case in cases() if case[1] == "fp32"], ids="-".join)
def test_the_layout_of_an_inputs_memory_changes_nothing(
    case: Case,
    build: Build,
    network: Loaded,
    scenes: list[np.ndarray],
    request: Request,
) -> None:
    require(case[0], request)
    image = at(scenes[0], TRACED, network.spec)
    wide = np.concatenate([image, image], 3)
    window, turned = wide[:, :, :, : image.shape[3]], np.asfortranarray(image)
    with opened(build(case)) as session:
        expected = session.run({"image": image})["logits"]
        for same in (window, turned):
            assert not same.flags.c_contiguous
            assert np.allclose(session.run({"image": same})["logits"], expected, atol=1e-5)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("case", [case for case in cases() if case[1:] == ("fp32", "static")], ids="-".join)
def test_an_input_of_the_wrong_size_is_refused_with_its_shape(case: Case, build: Build, request: Request) -> None:
    require(case[0], request)
    if "wrong-size" in find_backend(case[0]).INFO.gaps:
        pytest.skip(find_backend(case[0]).INFO.gaps["wrong-size"])
    with opened(build(case)) as session, pytest.raises(BackendError, match=r"refuses the input .*64"):
        session.run({"image": np.zeros((1, 3, 64, 64), np.float32)})


@pytest.mark.parametrize("name", backend_names())
def test_a_backend_describes_itself(name: str) -> None:
    info = find_backend(name).INFO
    assert info.title
    assert info.precisions[0] == "fp32" or "fp32" not in info.precisions
    assert set(info.lowered) <= set(info.precisions)
    missing = {"fp32", "fp16", "bf16", "int8"} - set(info.precisions)
    assert missing <= set(info.gaps), "a precision that an engine does not build needs its reason"
    assert all(reason.strip() for reason in info.gaps.values())
    assert info.dynamic or info.gaps.get("dynamic")


@pytest.mark.parametrize("name", backend_names())
def test_there_is_one_default_device(name: str) -> None:
    backend = find_backend(name)
    assert default_device(name) == inspect.signature(backend.open).parameters["device"].default
    offered = {device.name.partition(":")[0] for device in backend.probe()}
    assert default_device(name) in offered
    assert default_device(name) == "cpu" or "cpu" not in offered


@pytest.mark.parametrize("name", backend_names())
def test_probing_never_raises(name: str) -> None:
    devices = find_backend(name).probe()
    assert devices
    assert all(device.note for device in devices)


@pytest.mark.parametrize("name", backend_names())
def test_a_damaged_engine_is_an_error_that_names_the_file(name: str, tmp_path: Path, request: Request) -> None:
    require(name, request)
    (tmp_path / "model.bad").write_bytes(b"not an engine")
    with pytest.raises(BackendError, match=r"model\.bad"):
        find_backend(name).open(Engine(tmp_path, ("model.bad",), (), ()))
