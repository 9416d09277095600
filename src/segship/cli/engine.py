"""``segship doctor --engine``: what one backend is told and able to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from segship.core.artifacts import BackendInfo, EngineOption

__all__ = ["describe_engine"]

_STATES = ("verified on the engine", "verified on the vendor's simulator", "built, not verified here")


def describe_engine(name: str, json_file: Path | None) -> None:
    """Tell a backend's options, precisions and devices, what is known of its packages here, and its gaps.

    Args:
        name: Name of the backend.
        json_file: Where the answer is written as JSON; ``-``: printed, and nothing else; None: nowhere.

    Raises:
        BackendError: No backend has that name.
    """
    from segship.backends import find_backend
    from segship.cli import output

    backend = find_backend(name)
    info, devices = backend.INFO, backend.probe()
    state = next((_STATES[bool(device.simulator)] for device in devices if device.usable), _STATES[2])
    report: dict[str, Any] = {
        "backend": name,
        "title": info.title,
        "precisions": info.precisions,
        "shapes": ("dynamic", "static") if info.dynamic else ("static",),
        "options": {option: _as_dict(each) for option, each in info.options.items()},
        "devices": [vars(device) for device in devices],
        "default_device": info.default_device,
        "packages_made_here": state,
        "cannot": dict(info.gaps),
    }
    output.write_json(json_file, report)
    if output.is_standard_output(json_file):
        return
    _print(report, info)


def _as_dict(option: EngineOption) -> dict[str, Any]:
    return {
        "type": option.kind.__name__,
        "text": option.text,
        "choices": option.choices,
        "minimum": option.minimum,
        "default": option.default,
    }


def _print(report: dict[str, Any], info: BackendInfo) -> None:
    from segship.cli import output

    output.say(f"{info.title}: {', '.join(info.precisions)}; {' and '.join(report['shapes'])} shapes")
    output.say(f"packages made here are {report['packages_made_here']}")
    for device in report["devices"]:
        works = "works" if device["usable"] else "does not work"
        output.say(f"device {device['name']} {works}: {device['note']}")
    for name, option in info.options.items():
        output.say(f"--option {name}={option.told()}: {option.text}")
    if not info.options:
        output.say("it has no options of its own")
    for what, reason in info.gaps.items():
        output.say(f"{what}: {reason}")
