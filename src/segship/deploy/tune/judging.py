"""Every candidate is held against the network itself, on the calibration images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from segship.core.target import Shape
from segship.deploy.shapes import fit
from segship.deploy.tune.result import Tried
from segship.runtime.package import PackageFiles
from segship.runtime.pipeline import Pipeline
from segship.verification.int8 import Int8Judge, Measurement, calibration_samples

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from segship.core.plan import Int8
    from segship.deploy.tune.journal import Journal
    from segship.runtime.package import Package
    from segship.sources import Loaded

__all__ = ["Judging"]


class Judging:
    """The images, the network's own masks of them, and the gate.

    Args:
        loaded: The network.
        options: What a candidate may cost.

    Attributes:
        samples: The images, with label maps where there are any.
        options: As given.

    Raises:
        InputError: No image can be used.
    """

    def __init__(self, loaded: Loaded, options: Int8) -> None:
        self._loaded = loaded
        self.options = options
        self.samples = calibration_samples(options)
        self._judge = Int8Judge(self.samples, loaded.spec, options)
        self._before: Measurement | None = None

    def begin(self, journal: Journal) -> None:
        """Run the network itself on the images, unless an earlier run has done so.

        Args:
            journal: Keeps the masks.
        """
        masks = journal.masks()
        if masks is not None and len(masks) == len(self.samples):
            self._before = self._judge.of_masks(masks)
            return
        from segship.networks.session import EagerSession

        spec, sizes = fit(self._loaded.spec, self._loaded.network.sizes, Shape())
        network = Pipeline(EagerSession(self._loaded.network), spec, sizes)

        def label(pixels: NDArray[Any]) -> NDArray[Any]:
            journal.tick()
            return network.labels(pixels, "bgr")

        self._before = self._judge.measure(label)
        journal.keep_masks(self._before.masks)

    def judge(self, package: Package) -> Tried:
        """Hold a package's masks against the network's.

        Args:
            package: As it was exported.

        Returns:
            ``"passed"`` or ``"refused"``, with the figures.

        Raises:
            SegshipError: It does not run.
        """
        manifest = package.manifest
        before = self._before
        assert before is not None  # noqa: S101  (`begin` comes first)
        pipeline = PackageFiles(package.path, package.path, manifest).pipeline(trust=True)  # it was made here
        try:
            after = self._judge.measure(lambda pixels: pipeline.labels(pixels, "bgr"), before)
        finally:
            pipeline.close()
        failed = self._judge.failures(before, after)
        labelled = before.accuracy is not None and after.accuracy is not None
        return Tried(
            str(manifest.target),
            "refused" if failed else "passed",
            "; ".join(failed),
            size=sum(file.size for file in manifest.files.values()),
            mIoU=after.accuracy.mIoU if after.accuracy is not None else None,
            change=after.accuracy.mIoU - before.accuracy.mIoU if labelled else None,  # type: ignore[union-attr]
            agreement=after.agreement,
            kept=len(manifest.quantization.kept) if manifest.quantization is not None else 0,
        )
