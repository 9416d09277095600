"""What commands ask and tell of rasters that are read by windows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from segship.core.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    from segship.runtime.scene_files import SceneForm

__all__ = ["scene_form", "tell_scene"]


def scene_form(
    seen: dict[str, Any], files: dict[str, Any], *, window: str | None, bands: str | None, remote: bool = False
) -> SceneForm | None:
    """Return what the options of a command line ask for; None: nothing.

    Args:
        seen: Of `segship.runtime.scene_plan.SceneOptions`; None: not given.
        files: Of `segship.runtime.scene_files.SceneForm`; None: not given.
        window: ``1024`` or ``512x1024``.
        bands: ``4,3,2``.
        remote: Let GDAL read from other machines.

    Raises:
        InputError: They are not well-formed, or contradict each other.
    """
    from segship.runtime.scene_files import SceneForm
    from segship.runtime.scene_plan import SceneOptions

    if not remote and all(one is None for one in (*seen.values(), *files.values(), window, bands)):
        return None
    sides = _numbers(window.lower().replace("x", ","), "--window", "1024 or 512x1024") if window else ()
    if len(sides) > 2:  # noqa: PLR2004
        raise InputError(f"--window is {window!r}: expected one number, or height x width")
    chosen = _numbers(bands, "--bands", "1,2,3") if bands is not None else None
    options = SceneOptions(window=(sides[0], sides[-1]) if sides else None, bands=chosen, remote=remote, **seen)
    return SceneForm(options, asked=True, **files)


def _numbers(text: str, option: str, example: str) -> tuple[int, ...]:
    try:
        return tuple(int(number) for number in text.split(","))
    except ValueError:
        raise InputError(f"{option} is {text!r:.80}: expected whole numbers, as {example}") from None


def tell_scene(path: Path, told: dict[str, Any]) -> None:
    """Say how a raster was seen.

    Args:
        path: The raster.
        told: As of `segship.runtime.predict.Predictions.scenes`.
    """
    from segship.cli import output

    windows, seconds = told["windows_run"], told["seconds"]
    pace = f", {windows} run in {seconds:.1f} s, {windows / max(seconds, 1e-3):.1f} windows/s" if windows else ""
    output.say(f"{path}: {told['plan']}{pace}")
    if (seams := told["seams"]) is not None:
        output.say(
            f"{path}: moving the windows by half a stride changes {seams['changed']:.3%} of the labels "
            f"({seams['places']} place{'s' * (seams['places'] > 1)})"
        )
