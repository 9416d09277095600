"""What travels through an export: the network's spec, the engine's, the options of int8, and all of them as one Plan.

A package's manifest, the metadata inside an engine's file and the index of packed tensors are records of the same
fields; `newer_version` is the one rule for records of a later version.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias, cast, get_args

from segship.core.errors import InputError, PackageError
from segship.core.spec import Frozen, ModelSpec, SizeRule
from segship.core.target import Target
from segship.core.validation import Bound

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "METADATA",
    "SCHEMA_VERSION",
    "Embedded",
    "EmbeddedSpec",
    "Int8",
    "NetworkSpec",
    "Plan",
    "Temperature",
    "newer_version",
    "read_embed",
]

SCHEMA_VERSION = 2
"""Version of the records that are written; those of earlier versions are read, too.

2: a manifest holds a digest of itself, and says where each value was read. 1: version 0.1.
"""

METADATA = "segship"
"""Key under which an engine's own file carries `EmbeddedSpec` as JSON, so that the lone file can be understood."""

_MAXIMUM_CHARACTERS = 16 * 2**20

Embedded: TypeAlias = Literal["pre", "post"]


class NetworkSpec(Frozen):
    """The facts about a network that are needed to feed it and to read its outputs.

    Attributes:
        schema_version: Version of this format.
        spec: What the network expects and means.
        sizes: Which input sizes it takes.
    """

    schema_version: Annotated[int, Bound(whole=True, ge=1, le=SCHEMA_VERSION)] = SCHEMA_VERSION
    spec: ModelSpec
    sizes: SizeRule = SizeRule()


class EmbeddedSpec(NetworkSpec):
    """The metadata that an engine's own file carries.

    Attributes:
        target: Engine, precision and shape the file was made for; None: not said.
        embed: The work on images that the file does itself: ``"pre"``, it takes uint8 (H, W, 3) RGB of any size;
            ``"post"``, it returns labels.
    """

    target: Target | None = None
    embed: Annotated[tuple[Embedded, ...], Bound(most=2)] = ()

    @classmethod
    def read(cls, text: str, path: Path) -> EmbeddedSpec:
        """Read the metadata of an engine's file.

        Args:
            text: What the file carries under `METADATA`.
            path: The file, for error messages.

        Raises:
            PackageError: It is not what Segship writes, or is newer than this version.
        """
        if len(text) > _MAXIMUM_CHARACTERS:
            raise PackageError(f"{path} describes itself in {len(text)} characters: not by Segship")
        try:
            data = json.loads(text)
            if newer := newer_version(data):
                raise PackageError(f"{path} {newer}")
            return EmbeddedSpec.model_validate(data)
        except (ValueError, RecursionError):  # ValidationError is one
            told = f"{path}: its metadata {METADATA!r} is not what Segship writes: export it again"
            raise PackageError(told) from None


class Int8(Frozen):
    """The calibration and the judging of int8.

    Attributes:
        calibration: Folder of images whose value ranges int8 is fitted to; needed for int8.
        labels: Folder of their label maps; with it, int8 is judged by IoU.
        images: At most so many images are used, spread over the folder.
        drop: With labels: the most that mIoU may change, in points, up or down. An int8 that gains a point is as
            untrustworthy as one that loses it.
        class_drop: With labels: the most that the IoU of any class may lose, in points.
        agreement: Without labels: the least share of pixels of the calibration images, 0-1, that must keep their label.
    """

    calibration: str | Path | None = None
    labels: str | Path | None = None
    images: Annotated[int, Bound(gt=0)] = 64
    drop: float = 0.5
    class_drop: float = 3.0
    agreement: float = 0.98


class Temperature(Frozen):
    """The images that the temperatures of a package's scores are fitted on.

    Attributes:
        calibration: Folder of images.
        labels: Folder of their label maps.
        images: At most so many images are used, spread over the folder.
        per_class: A temperature for each class, rather than one for all.
    """

    calibration: str | Path
    labels: str | Path
    images: Annotated[int, Bound(gt=0)] = 64
    per_class: bool = False


class Plan(EmbeddedSpec):
    """Everything that the stages of an export have to know, once the network has been read.

    Attributes:
        target: Engine, precision and shape.
        int8: How int8 is calibrated and judged.
        temperature: What the temperatures of the scores are fitted on; None: they are not fitted.
        allow_inexact: Write the package even if a gate fails, and say so in it.
        layer_timing: Seconds that timing single layers of int8 takes at most; 0: none is timed.
    """

    target: Target
    int8: Int8 = Int8()
    temperature: Temperature | None = None
    allow_inexact: bool = False
    layer_timing: float = 120.0

    def metadata(self) -> dict[str, str]:
        """Build the metadata for the engine's file: `EmbeddedSpec` as JSON under `METADATA`."""
        embedded = EmbeddedSpec(spec=self.spec, sizes=self.sizes, target=self.target, embed=self.embed)
        return {METADATA: embedded.model_dump_json()}


def newer_version(data: Any) -> str:
    """Compare a record's version with this Segship's.

    Args:
        data: A record as it was read from JSON, before it is validated.

    Returns:
        The end of an error message that begins with the record's place; empty where the version can be read.
    """
    version = data.get("schema_version") if isinstance(data, dict) else None
    if isinstance(version, bool) or not isinstance(version, int) or version <= SCHEMA_VERSION:
        return ""
    return f"has schema version {version}, this Segship reads up to {SCHEMA_VERSION}: pip install -U segship"


def read_embed(parts: str | Sequence[str]) -> tuple[Embedded, ...]:
    """Read ``"pre,post"`` or ``("pre", "post")``.

    Returns:
        The parts, in the order of the work.

    Raises:
        InputError: It is something else.
    """
    given = [part.strip() for part in parts.split(",")] if isinstance(parts, str) else list(parts)
    known = get_args(Embedded)
    if wrong := [part for part in given if part not in known]:
        raise InputError(f"embed takes pre, post or pre,post, not {', '.join(map(repr, wrong))}")
    return tuple(cast("Embedded", part) for part in known if part in given)
