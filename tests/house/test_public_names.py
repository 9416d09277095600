from __future__ import annotations

import importlib
import inspect
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import segship
from segship.core import errors
from segship.core.frozen import Frozen


def modules() -> list[str]:
    found = pkgutil.walk_packages(segship.__path__, "segship.")
    return sorted(module.name for module in found if not module.name.endswith("__main__"))


PUBLIC = """
BackendError CheckpointError ConfigError Data DownloadError InputError Int8 Manifest MissingExtraError ModelSpec
Package PackageError Segmentor SegshipError SegshipWarning SizeError SizeRule Source Target Temperature UnsafeFileError
UnsupportedError VerificationError __version__ adopt benchmark evaluate export export_kit export_module load_network
predict tune verify
"""


def test_the_public_names_are_these() -> None:
    assert sorted(segship.__all__) == sorted(PUBLIC.split())
    assert dir(segship) == sorted(segship.__all__)


def test_every_public_name_can_be_imported() -> None:
    for name in segship.__all__:
        assert getattr(segship, name) is not None


def test_every_error_is_public() -> None:
    kinds = [
        value for value in vars(errors).values() if inspect.isclass(value) and issubclass(value, (Exception, Warning))
    ]
    assert {kind.__name__ for kind in kinds} <= set(segship.__all__)
    for kind in kinds:
        assert getattr(segship, kind.__name__) is kind


def test_no_public_function_takes_anything_by_any_name() -> None:
    for name in segship.__all__:
        value = getattr(segship, name)
        if not callable(value) or (inspect.isclass(value) and issubclass(value, (BaseException, Frozen))):
            continue
        kinds = {parameter.kind for parameter in inspect.signature(value).parameters.values()}
        assert inspect.Parameter.VAR_KEYWORD not in kinds, f"{name} takes **options"


@pytest.mark.slow
def test_a_type_checker_sees_what_users_write() -> None:
    """mypy, which pyproject.toml makes strict, over a script in the words of the README.

    Its settings are this project's, so that what `make types` has found is taken from its cache: for the script they
    are those of a strict user, for what is set besides concerns modules that Segship imports.
    """
    pytest.importorskip("mypy")
    script = Path(__file__).with_name("user_script.py")
    command = [sys.executable, "-m", "mypy", str(script)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2])
    assert done.returncode == 0, done.stdout + done.stderr
    assert (Path(segship.__file__).parent / "py.typed").is_file()


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'segmentor_'"):
        _ = segship.segmentor_


@pytest.mark.parametrize("name", modules())
def test_all_is_exact(name: str) -> None:
    module = importlib.import_module(name)
    if not hasattr(module, "__all__"):
        defined = [key for key, value in vars(module).items() if getattr(value, "__module__", None) == name]
        assert not [key for key in defined if not key.startswith("_")], f"{name} defines public names but no __all__"
        return
    assert sorted(set(module.__all__)) == sorted(module.__all__)
    for key in module.__all__:
        assert hasattr(module, key), f"{name}.__all__ names {key!r}, which does not exist"
    for key, value in vars(module).items():
        here = (inspect.isclass(value) or inspect.isfunction(value)) and value.__module__ == name
        if here and not key.startswith("_"):
            assert key in module.__all__, f"{name} defines {key!r} but __all__ leaves it out"
