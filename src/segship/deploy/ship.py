"""Load, capture, build, verify, write: the stages of every export, in their order."""

from __future__ import annotations

import json
import platform
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segship import __version__
from segship.backends import find_backend, runs_here
from segship.core.errors import VerificationError
from segship.core.files import digest, replace_directory, require_replaceable
from segship.core.manifest import Comparison, Manifest, is_package
from segship.core.memory import release_memory
from segship.core.plan import Int8, Plan
from segship.core.provenance import RANDOM_WEIGHTS, read
from segship.core.versions import module_versions
from segship.deploy.build import build_engine
from segship.deploy.exact import judged
from segship.deploy.requirements import (
    EXPORT_MODULES,
    able_target,
    require_embeddable,
    require_engine,
    require_extra,
    require_format,
)
from segship.deploy.shapes import fit, resolve
from segship.deploy.temperature import calibrate, collect, labelled_samples
from segship.runtime.package import Package, PackageFiles
from segship.runtime.pipeline import Pipeline
from segship.verification.compare import compare
from segship.verification.inputs import TRACED, find_verification_images, references

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from segship.core.artifacts import Backend, Engine, Graph, Session
    from segship.core.calibration import Calibration
    from segship.core.plan import Embedded, Temperature
    from segship.core.provenance import Provenance
    from segship.core.target import Target
    from segship.deploy.build import BuiltEngine
    from segship.deploy.temperature import Pixels
    from segship.networks.network import Network
    from segship.sources import Loaded
    from segship.verification.compare import Reference

    Progress = Callable[[str], None]

__all__ = ["ExportOptions", "build_package", "describe_network", "describe_package", "ignore_progress", "verify_engine"]

_CLASSES = "classes.json"  # of a package whose engine returns masks
_SUFFIXES = {"onnx": ".onnx", "pt2": ".pt2", "torchscript": ".pt", "openvino_ir": ".xml"}


def ignore_progress(stage: str) -> None:
    """Take the name of a stage and do nothing: for callers who want no progress."""


@dataclass(frozen=True)
class ExportOptions:
    """The options of an export as the user gives them, before the network is read.

    Attributes:
        target: Engine, precision and shape.
        embed: The work on images that the engine shall do itself.
        int8: How int8 is calibrated and judged.
        temperature: What the temperatures of the scores are fitted on; None: they are not fitted.
        allow_inexact: Write the package even if a gate fails, and say so in it.
        images: Images to verify with, besides the bundled scenes.
        layer_timing: Seconds that timing single layers of int8 takes at most.
        progress: Called with the name of each stage as it begins.
    """

    target: Target
    embed: tuple[Embedded, ...] = ()
    int8: Int8 = field(default_factory=Int8)
    temperature: Temperature | None = None
    allow_inexact: bool = False
    images: Sequence[str | Path] = ()
    layer_timing: float = 120.0
    progress: Progress = ignore_progress

    def plan(self, loaded: Loaded) -> Plan:
        """Bring the options together with the network.

        Raises:
            SizeError: The network does not take the shape.
        """
        target = resolve(self.target, loaded.spec, loaded.network.sizes)
        spec, sizes = fit(loaded.spec, loaded.network.sizes, target.shape)
        return Plan(
            spec=spec,
            sizes=sizes,
            target=target,
            embed=self.embed,
            int8=self.int8,
            temperature=self.temperature,
            allow_inexact=self.allow_inexact,
            layer_timing=self.layer_timing,
        )


def build_package(
    load: Callable[[], Loaded], out: Path, options: ExportOptions, network: Session | None = None
) -> Package:
    """Make a verified package of a network.

    Args:
        load: Reads the network; called when nothing cheaper can fail any more.
        out: Folder to write.
        options: What is asked for.
        network: The original, as a session; None: PyTorch runs what ``load`` reads.

    Raises:
        SegshipError: Something cannot be read, converted or verified; nothing was written.
    """
    require_extra()
    options = replace(options, target=able_target(options.target))
    require_engine(options.target)
    require_embeddable(options.target, options.embed)
    images = find_verification_images(options.images)
    require_replaceable(out, is_package)
    options.progress("reading the network")
    loaded = load()
    plan = options.plan(loaded)
    require_format(plan, loaded.network.graph_format)
    options.progress("running the network itself")
    expected = _references(loaded, plan, images, network)
    beside = _network_pixels(loaded, plan, network, options.progress)
    about = describe_network(loaded, plan)
    with replace_directory(out, replaceable=is_package) as directory:
        with tempfile.TemporaryDirectory(
            dir=directory, prefix=".graph."
        ) as scratch:  # goes with the package's if killed
            options.progress("capturing the network as a graph")
            graph = _capture(loaded, plan, Path(scratch))
            del loaded  # the engine is about to need the room
            built = _build(graph, plan, directory, expected, options.progress)
        manifest = describe_package(about, plan, built, directory)
        options.progress("comparing the engine with the network")
        found, emulated = _checked(built, plan, expected, load)
        calibration, untold = _calibration(manifest, plan, directory, beside, options.progress)
        notes = (*manifest.notes, *filter(None, [built.note, emulated, untold]))
        manifest = manifest.model_copy(update={**found, "notes": notes, "calibration": calibration}).write(directory)
    return Package(out, manifest)


def _network_pixels(loaded: Loaded, plan: Plan, network: Session | None, progress: Progress) -> Pixels | None:
    """What the network itself makes of the calibration images, where the engine is of another precision."""
    if plan.temperature is None:
        return None
    samples = labelled_samples(plan.temperature)  # before the engine is built, which takes long
    if plan.target.precision == "fp32" or _scoreless(plan):
        return None
    from segship.networks.session import EagerSession

    session = network or EagerSession(loaded.network)
    return collect(Pipeline(session, plan.spec, plan.sizes), plan.spec, samples, progress)


def _scoreless(plan: Plan) -> str:
    """Why there are no scores; empty where there are."""
    if "post" in plan.embed:
        return "its engine returns masks"
    return "the network returns labels" if plan.spec.returns == "labels" else ""


def _calibration(
    manifest: Manifest, plan: Plan, directory: Path, beside: Pixels | None, progress: Progress
) -> tuple[Calibration | None, str]:
    """The temperatures of the engine's scores, or why there are none."""
    if plan.temperature is None:
        return None, ""
    backend = find_backend(plan.target.backend)
    runs = runs_here(backend, manifest.options)
    if reason := _scoreless(plan) or ("" if runs else "its engine does not run on the machine that exported it"):
        return None, f"the package's scores are not calibrated: {reason}"
    files = PackageFiles(directory, directory, manifest)
    pipeline = files.pipeline(device=_device(backend), trust=True)  # it was made here
    try:
        found = collect(pipeline, plan.spec, labelled_samples(plan.temperature), progress)
    finally:
        pipeline.close()
    return calibrate(plan.temperature, plan.spec, plan.target.precision, found, beside), ""


def _checked(
    built: BuiltEngine, plan: Plan, expected: Sequence[Reference], load: Callable[[], Loaded]
) -> tuple[dict[str, Any], str]:
    """What the manifest says of the comparison, and why it says nothing of the precision.

    Raises:
        VerificationError: A gate fails, and the plan does not allow that.
    """
    checks, differences = verify_engine(built.engine, expected, plan, lambda: load().network)
    failed = (*differences, *built.failures)
    if failed and not plan.allow_inexact:
        raise VerificationError("; ".join(failed))
    backend = find_backend(plan.target.backend)
    emulated = _emulated(backend, plan.target.precision)
    state = _state(backend, passed=bool(checks) and not failed and not emulated)
    return {"checks": checks, "failures": failed, **state}, emulated


def verify_engine(
    engine: Engine, expected: Sequence[Reference], plan: Plan, network: Callable[[], Network]
) -> tuple[tuple[Comparison, ...], list[str]]:
    """Run the engine on what the network has seen, unless it is one that other machines run.

    Args:
        engine: Its files.
        expected: The network's own logits.
        plan: Of the export.
        network: Reads the original once more; called where fp32 misses its gate, and float64 decides.

    Returns:
        The comparisons, and what does not hold, in words.

    Raises:
        VerificationError: The engine's output has another shape.
    """
    backend = find_backend(plan.target.backend)
    if not runs_here(backend, engine.options):
        if backend.INFO.unverified:
            return (), []
        reason = f"the engine cannot be compared with the network here ({backend.probe()[0].note})"
        where = f", and {backend.INFO.elsewhere}" if backend.INFO.elsewhere else ""
        return (), [f"{reason}: only --allow-inexact writes it{where}"]
    release_memory()
    image, output = engine.inputs[0].name, engine.outputs[0].name
    with backend.open(engine, device=_device(backend)) as session:

        def run(each: Reference) -> NDArray[Any]:
            return session.run({image: each.image})[output]

        checks = [compare(each, run(each), plan.spec) for each in expected]
        return judged(checks, expected, run, network, plan)


def _emulated(backend: Backend, precision: str) -> str:
    """Why a comparison here says nothing of the precision; empty where it does."""
    return backend.INFO.emulated(precision) if backend.INFO.emulated is not None else ""


def _device(backend: Backend) -> str:
    """What a comparison runs on: the engine's own default where that works, else the first device that does."""
    usable = [device.name for device in backend.probe() if device.usable]
    default = backend.INFO.default_device
    return default if default in usable or not usable else usable[0]


def _state(backend: Backend, *, passed: bool) -> dict[str, str | None]:
    """What is known of a package, as its manifest says it."""
    if not passed:
        return {"state": "built, not verified here", "simulator": None}
    ran_on = next((device.simulator for device in backend.probe() if device.name == _device(backend)), "")
    state = "verified on the vendor's simulator" if ran_on else "verified on the engine"
    return {"state": state, "simulator": ran_on or None}


def _references(loaded: Loaded, plan: Plan, images: Sequence[Path], network: Session | None) -> list[Reference]:
    from segship.networks.session import EagerSession

    batch = plan.target.shape.static is None and loaded.network.sizes.batch is None
    return references(network or EagerSession(loaded.network), plan, images, batch=batch)


def _build(graph: Graph, plan: Plan, directory: Path, expected: Sequence[Reference], progress: Progress) -> BuiltEngine:
    release_memory()
    progress(f"building the {find_backend(plan.target.backend).INFO.title} engine")
    return build_engine(graph, plan, directory, expected, progress)


def describe_network(loaded: Loaded, plan: Plan) -> dict[str, Any]:
    """What a manifest says of the network, and nothing that holds it.

    Args:
        loaded: The network.
        plan: Of the export.
    """
    return {
        "origin": dict(loaded.origin),
        "provenance": _provenance(loaded, plan),
        "notes": (*loaded.notes, *_notes(loaded)),
        "tta": loaded.tta,
    }


def describe_package(about: dict[str, Any], plan: Plan, built: BuiltEngine, directory: Path) -> Manifest:
    """Write down what a package is, before its engine has been compared with the network.

    Args:
        about: What `describe_network` says.
        plan: Of the export.
        built: Its engine.
        directory: Where the engine's files lie, and where the names of classes are written that go beside a mask.
    """
    engine, backend = built.engine, find_backend(plan.target.backend)
    files = (*engine.files, *_beside_the_mask(plan, directory))
    return Manifest(
        spec=plan.spec,
        sizes=plan.sizes,
        target=plan.target,
        embed=plan.embed,
        inputs=engine.inputs,
        outputs=engine.outputs,
        files={name: digest(directory / name) for name in files},
        options=dict(engine.options),
        quantization=built.quantization,
        versions=_versions(backend),
        **about,
    )


def _beside_the_mask(plan: Plan, directory: Path) -> tuple[str, ...]:
    """Names and colours of labels in a file that any language reads: JavaScript cannot read a model's metadata."""
    if "post" not in plan.embed:
        return ()
    colors = [f"#{red:02x}{green:02x}{blue:02x}" for red, green, blue in plan.spec.palette]
    record = {"classes": plan.spec.classes, "colors": colors, "palette": plan.spec.palette}
    (directory / _CLASSES).write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return (_CLASSES,)


def _capture(loaded: Loaded, plan: Plan, folder: Path) -> Graph:
    """The network in the format the backend converts from."""
    from segship.capture import CaptureOptions, capture

    own, info = loaded.network.graph_format, find_backend(plan.target.backend).INFO
    kind = own if own in info.reads else info.graph
    options = CaptureOptions(
        size=plan.sizes.nearest(*TRACED),
        channels=plan.spec.channels,
        dynamic=plan.target.shape.static is None,
        metadata=plan.metadata(),
        opset=info.opset,
    )
    return capture(loaded.network, folder / f"model{_SUFFIXES[kind]}", options, format=kind)


def _notes(loaded: Loaded) -> Iterator[str]:
    if loaded.provenance.random_weights:
        yield f"{RANDOM_WEIGHTS}: no checkpoint was named"
    if loaded.denormals:
        yield f"{loaded.denormals} denormal weights were set to zero: they cost time and change no label"


def _provenance(loaded: Loaded, plan: Plan) -> Provenance:
    """Where the spec was read; what the shape of the target decides is the target's word."""
    changes = {}
    if plan.spec.geometry != loaded.spec.geometry:
        changes["size_rule"] = read(f"the shape of the target {plan.target}, or the network's only size")
    if plan.spec.padding != loaded.spec.padding:
        changes["padding"] = read(f"the sizes that the network takes ({loaded.network.sizes})")
    return loaded.provenance.model_copy(update=changes)


def _versions(backend: Backend) -> dict[str, str]:
    found = module_versions((*EXPORT_MODULES, "numpy", "cv2", *backend.INFO.modules))
    installed = {name: version for name, version in found.items() if version is not None}
    return {"python": platform.python_version(), "segship": __version__} | installed
