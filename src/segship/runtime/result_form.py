"""What is written for each image of a run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from segship.formats.masks import MaskForm, find
from segship.runtime.scene_files import SceneForm
from segship.vision import confidence
from segship.vision.decode import MAX_PIXELS
from segship.vision.draw import Style

if TYPE_CHECKING:
    from segship.formats.masks import MaskFormat
    from segship.runtime.segmentor import Segmentor
    from segship.vision.confidence import ConfidenceKind

__all__ = ["ResultForm"]


@dataclass(frozen=True)
class ResultForm:
    """What is written for each image.

    Attributes:
        style: Of the overlay.
        max_pixels: Images with more pixels are refused.
        overlay: Whether there is an overlay.
        scores: Whether the class probabilities are written.
        raw_scores: Whether probabilities are the network's own, rather than calibrated ones.
        confidence: Which confidence is written as a grey image; None: none.
        reject: Pixels whose label is less probable get the label 255; None: none does.
        scene: What is written of a raster that is read by windows.
        format: Of the labels.

    Raises:
        InputError: There is no such format.
    """

    style: Style = field(default_factory=Style)
    max_pixels: int = MAX_PIXELS
    overlay: bool = True
    scores: bool = False
    raw_scores: bool = False
    confidence: ConfidenceKind | None = None
    reject: float | None = None
    scene: SceneForm = field(default_factory=SceneForm)
    format: MaskFormat = "png"

    def __post_init__(self) -> None:
        find(self.format)

    @property
    def masks(self) -> MaskForm:
        """How labels are written."""
        return find(self.format)

    def files(self, name: str) -> dict[str, str]:
        """The results of an image that is no scene, by kind; those that all images share are not among them."""
        found = {"part" if self.masks.joined else "labels": self.masks.own(name)}
        if self.overlay:
            found["overlay"] = f"{name}_overlay.jpg"
        if self.scores:
            found["scores"] = f"{name}_scores.npz"
        if self.confidence:
            found["confidence"] = f"{name}_confidence.png"
        return found

    @property
    def needs_scores(self) -> bool:
        """Whether anything that is written is made of probabilities."""
        return self.scores or self.confidence is not None or self.reject is not None

    def require(self, segmentor: Segmentor) -> None:
        """Make sure that a package can give what is asked for.

        Raises:
            InputError: There is no such confidence, or pixels cannot be rejected.
            UnsupportedError: Scores are needed, and the network returns labels alone.
        """
        if self.confidence is not None:
            confidence.require_kind(self.confidence)
        if self.reject is not None:
            confidence.require_rejectable(self.reject, len(segmentor.classes))
        if self.needs_scores:
            segmentor.require_scores()

    def settings(self) -> dict[str, Any]:
        """What decides the results beside image and package; what is not asked for is None."""
        drawn = self.style.settings() if self.overlay else {}
        return {key: drawn.get(key) for key in ("legend", "contours", "palette")} | {
            "opacity": self.style.opacity if self.overlay else None,
            "raw_scores": True if self.raw_scores and self.needs_scores else None,
            "confidence": self.confidence,
            "reject": self.reject,
            "format": None if self.format == "png" else self.format,
        }
