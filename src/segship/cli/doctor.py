"""``segship doctor``."""

from __future__ import annotations

import contextlib
from importlib import metadata
from typing import Annotated, Any

import typer

from segship.cli.options import JsonFile
from segship.core.errors import InputError
from segship.core.files import cache_folder

__all__ = ["doctor", "examine"]

_OPENCV = (
    "opencv-python-headless",
    "opencv-python",
    "opencv-contrib-python",
    "opencv-contrib-python-headless",
)
_BASE = ("numpy", "PIL", "cv2", "typer", "rich")
_EXPORT = ("torch", "onnx", "onnxscript")  # modules; their distributions may have other names


def doctor(
    json_file: JsonFile = None,
    setup: Annotated[
        str | None,
        typer.Option(
            help="Make an environment of its own, in the user's cache folder or where $SEGSHIP_NAME_ENV says: paddle "
            "(1 GB) for PaddleSeg, rknn (1.5 GB) for Rockchip's chips, qnn (0.5 GB) for Qualcomm's."
        ),
    ] = None,
    engine: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Tell of one backend: its options, precisions, devices, and what it cannot."),
    ] = None,
) -> None:
    """Tell what is installed, which backends and devices work, and the pip line for what is missing."""
    from segship.cli import output
    from segship.cli.engine import describe_engine
    from segship.cli.setup import set_up

    if setup is not None and engine is not None:
        raise InputError("--setup and --engine are two questions: ask one of them")
    if setup is not None:
        set_up(setup, json_file)
        return
    if engine is not None:
        describe_engine(engine, json_file)
        return

    report = examine()
    output.write_json(json_file, report)
    if not output.is_standard_output(json_file):
        _print(report)


def examine() -> dict[str, Any]:
    """Versions, extras and devices as JSON types."""
    import platform

    from segship import __version__
    from segship.backends import DEFAULT, backends, find_backend, refused_backends
    from segship.core.versions import module_versions
    from segship.toolchains import toolchains

    engines = {}
    for name, backend in backends().items():
        devices = [vars(device) for device in backend.probe()]
        engines[name] = {"title": backend.INFO.title, "precisions": backend.INFO.precisions, "devices": devices}
    environments = {}
    for name, toolchain in toolchains().items():
        found = toolchain.environment()
        environments[name] = {"folder": str(found.folder), "ready": found.ready, "packages": dict(found.packages)}
    packages = module_versions((*_BASE, *find_backend(DEFAULT).INFO.modules, *_EXPORT))
    missing = [module for module in _EXPORT if packages.get(module, "") is None]
    return {
        "segship": __version__,
        "python": platform.python_version(),
        "packages": packages,
        "export": {"works": not missing, "install": 'pip install "segship[export]"' if missing else None},
        "backends": engines,
        "refused_backends": refused_backends(),
        "environments": environments,
        "cache": str(cache_folder()),
        "notes": _notes(),
    }


def _notes() -> list[str]:
    """What is installed in a way that fails later."""
    versions = {}
    for name in _OPENCV:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    if len(versions) < 2:  # noqa: PLR2004
        return []
    found = " and ".join(f"{name} {version}" for name, version in versions.items())
    note = (
        f"{found} are installed over each other, as the same module cv2: whichever is taken away leaves the others "
        f"broken. Keep one: pip uninstall {' '.join(versions)}, then pip install {_OPENCV[0]}"
    )
    return [note]


def _print(report: dict[str, Any]) -> None:
    from rich.table import Table

    from segship.cli import output
    from segship.toolchains import toolchains

    table = Table(title=f"segship {report['segship']}, Python {report['python']}")
    for name in ("", "", ""):
        table.add_column(name)
    for package, version in report["packages"].items():
        table.add_row(package, version or "not installed", "")
    table.add_section()
    for name, backend in report["backends"].items():
        for device in backend["devices"]:
            table.add_row(f"{name} {device['name']}", "works" if device["usable"] else "does not work", device["note"])
    for name, reason in report["refused_backends"].items():
        table.add_row(f"{name}, not Segship's own", "does not work", reason)
    table.add_section()
    for name, found in report["environments"].items():
        hint = found["folder"] if found["ready"] else f"{toolchains()[name].purpose}: segship doctor --setup {name}"
        table.add_row(f"{name} environment", "ready" if found["ready"] else "not there", hint)
    table.add_row("cache folder", "", report["cache"])
    output.show(table)
    for note in report["notes"]:
        output.say(f"note: {note}")
    works = report["export"]["works"]
    output.say("Exporting works." if works else f"Exporting needs more: {report['export']['install']}")
