"""Try Segship in environments that `make check` does not have; each is made anew below build/environments.

::

    python dev/environments.py base lowest phones libraries paddle rtx pythons

- ``base``: `pip install segship` and no torch. What needs none is tested, and a package made beside it is run.
- ``lowest``: the lowest release of each dependency that pyproject.toml allows, but for torch, whose own lowest is a
  download of gigabytes: it is the one of constraints.txt.
- ``phones``: ExecuTorch, LiteRT and Core ML, which pin torch and others, and the tests of the three.
- ``libraries``: segmentation_models_pytorch, timm, torchvision and MONAI beside this interpreter's own packages, and
  the tests that compare with them.
- ``paddle``: what `segship doctor --setup paddle` makes, and the tests that run Paddle.
- ``rtx``: TensorRT for RTX beside this interpreter's own packages, which builds for cards that are not here.
- ``pythons``: ``base`` on each newer Python: one that is on the path, one that uv can get, or, for root, one of another
  release of Debian in a folder of its own. Where none can be had, a line says so. Those between this Python and the
  newest take some of the tests.

What the indexes offered on the day `AS_OF` is installed: what is published later is no verdict on a commit. Each ends
with pytest's summary, and a line that says how long it took; the status is the number of environments that failed.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
PLACE = ROOT / "build" / "environments"
SCENES = ROOT / "src" / "segship" / "assets" / "demo"
AS_OF = "2026-11-28"  # moved on with constraints.txt
PYTHONS = {"3.12": None, "3.13": "trixie", "3.14": "forky"}  # and the release of Debian that has it
# Files that need neither torch nor more than seconds.
TORCH_FREE = (
    *("tests/base", "tests/metrics", "tests/datasets", "tests/house/test_torch_free.py"),
    *("tests/core/test_target.py", "tests/core/test_manifest.py", "tests/core/test_artifacts.py"),
    *("tests/formats/test_deploy_config.py", "tests/reading/configs/test_config.py", "tests/reading/test_options.py"),
    "tests/verification/test_compare.py",
    *(f"tests/vision/test_{name}.py" for name in ("bands", "decode", "draw", "geometry", "palette", "preprocess")),
)
# What depends on the language most: the whole of it runs on this Python and on the newest.
SMOKE = (
    *("tests/base", "tests/house/test_torch_free.py", "tests/core/test_manifest.py"),
    *("tests/reading/configs/test_config.py", "tests/vision/test_decode.py", "tests/vision/test_preprocess.py"),
)
LOWEST = ("tests/backends/test_onnxruntime.py", "tests/backends/test_openvino.py", "tests/onnxgraph", "tests/runtime")
PHONES = (
    *("tests/backends/test_every_backend.py", "tests/backends/test_coreml.py", "tests/quantize/test_phones.py"),
    "--backends=executorch,litert,coreml",
)
LIBRARIES = ("smp", "timm", "torchvision", "monai")
OF_LIBRARIES = tuple(
    f"tests/sources/test_{name}.py" for name in ("smp", "torchvision", "huggingface_margins", "medical")
)
OF_PADDLE = tuple(f"tests/sources/test_{name}.py" for name in ("paddleseg", "paddleseg_networks", "paddlex"))


def uv(*words: object) -> None:
    """Run uv, from beside this interpreter or from the path, as of the day."""
    program = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv") or "uv"
    subprocess.run([program, *map(str, words)], check=True, cwd=ROOT, env={"UV_EXCLUDE_NEWER": AS_OF, **os.environ})


def environment(name: str, python: str = sys.executable) -> Path:
    """A new virtual environment; its interpreter."""
    folder = PLACE / name
    uv("venv", "--quiet", "--clear", "--seed", "--python", python, folder)
    return folder / "bin" / "python"


def install(python: Path, *words: object) -> None:
    """Install into the environment of an interpreter."""
    uv("pip", "install", "--quiet", "--python", python, *words)


def extras(*names: str) -> list[str]:
    """What pyproject.toml says that extras need, without Segship itself."""
    known = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    return [word for name in names for word in known[name] if not word.startswith("segship[")]


def install_torch(python: Path) -> None:
    """The torch of constraints.txt, by pip, which finds a build for processors where one is configured."""
    pin = next(line for line in (ROOT / "constraints.txt").read_text().splitlines() if line.startswith("torch=="))
    subprocess.run([str(python), "-m", "pip", "install", "--quiet", pin], check=True)


def passes(command: list[str], *words: str, variables: dict[str, str] | None = None) -> bool:
    """Run pytest; whether all passed."""
    # anyio's plugin, which others' packages bring, uses names that pytest has given up.
    options = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:anyio", "-m", "not slow", *words]
    print("$", *command, *options[:2], *words, flush=True)
    # uv compiles nothing: what one process has compiled, the next one need not.
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "", **(variables or {})}
    done = subprocess.run([*command, *options], check=False, cwd=ROOT, env=environment)
    return done.returncode == 0


def package() -> Path:
    """The bundled network as a package, made by this interpreter, which has torch."""
    out = PLACE / "package"
    words = ["export", SCENES / "fast_scnn_scenes.py", SCENES / "fast_scnn_scenes.pth", out]
    subprocess.run([sys.executable, "-m", "segship", *map(str, words)], check=True, stdout=subprocess.DEVNULL)
    return out


def base(name: str = "base", python: str = sys.executable, tests: tuple[str, ...] = TORCH_FREE) -> bool:
    """No torch."""
    made = environment(name, python)
    install(made, "-e", ".", "--group", "test")
    return passes([str(made)], "-n", "2", *tests, variables={"SEGSHIP_PACKAGE": str(package())})


def lowest() -> bool:
    """The lowest versions."""
    made = environment("lowest")
    install_torch(made)
    pins = PLACE / "lowest.txt"
    extras = [word for extra in ("export", "openvino", "tiff", "plots") for word in ("--extra", extra)]
    options = ["--resolution", "lowest-direct", "--no-header", "--no-annotate", "--python", made]
    uv("pip", "compile", "--quiet", "pyproject.toml", *extras, *options, "-o", pins)
    heavy = ("torch==", "triton==", "nvidia-", "cuda-")
    kept = [line for line in pins.read_text().splitlines() if not line.startswith(heavy)]
    pins.write_text("\n".join(kept) + "\n")
    install(made, "-r", pins, "--group", "test")
    install(made, "--no-deps", "-e", ".")
    return passes([str(made)], "-n", "2", *LOWEST)


def phones() -> bool:
    """The engines of devices."""
    made = environment("phones")
    install_torch(made)
    install(made, "-e", ".[coreml,executorch,litert]", "--group", "test")
    return passes([str(made)], "-n", "2", "--dist", "loadfile", *PHONES)


def libraries() -> bool:
    """The libraries that networks come from."""
    folder = PLACE / "libraries"
    shutil.rmtree(folder, ignore_errors=True)
    install(Path(sys.executable), "--no-deps", "--target", folder, *extras(*LIBRARIES))
    # Its compiled operators fit the torch that they were built beside alone, and this registers their shapes with any.
    # None of these networks calls one.
    (folder / "torchvision" / "_meta_registrations.py").write_text("")
    return passes([sys.executable], "-n", "2", *OF_LIBRARIES, variables={"PYTHONPATH": str(folder)})


def paddle() -> bool:
    """Paddle's environment, as a user sets it up."""
    variables = {"SEGSHIP_PADDLE_ENV": str(PLACE / "paddle")}
    command = [sys.executable, "-m", "segship", "doctor", "--setup", "paddle"]
    subprocess.run(command, check=True, env={**os.environ, **variables}, stdout=subprocess.DEVNULL)
    return passes([sys.executable], "-n", "2", "--dist", "loadfile", *OF_PADDLE, variables=variables)


def rtx() -> bool:
    """TensorRT for RTX."""
    folder = PLACE / "rtx"
    shutil.rmtree(folder, ignore_errors=True)
    install(Path(sys.executable), "--target", folder, *extras("tensorrt-rtx"))
    return passes(
        [sys.executable], "-n", "2", "tests/backends/test_tensorrt_rtx.py", variables={"PYTHONPATH": str(folder)}
    )


def pythons() -> bool:
    """Newer Pythons."""
    passed = True
    for version, release in PYTHONS.items():
        found = _here(version) or _download(version)
        tests = TORCH_FREE if version == max(PYTHONS) else SMOKE
        if found:
            passed &= base(f"python{version}", found, tests)
        elif release and os.geteuid() == 0 and shutil.which("debootstrap"):
            passed &= _debian(version, release, tests)
        else:
            print(f"Python {version}: none is here, and none could be fetched: not tried", flush=True)
    return passed


def _here(version: str) -> str | None:
    """An interpreter of this machine that runs: on the path, or one of pyenv's, whose names on the path may not run."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    found = [shutil.which(f"python{version}"), *map(str, pyenv.glob(f"{version}.*/bin/python"))]
    for program in filter(None, found):
        if subprocess.run([program, "-c", ""], check=False, capture_output=True).returncode == 0:
            return program
    return None


def _download(version: str) -> str | None:
    """The interpreter that uv fetches, where it can reach its downloads."""
    program = shutil.which("uv", path=str(Path(sys.executable).parent)) or "uv"
    variables = {**os.environ, "UV_HTTP_TIMEOUT": "15", "UV_HTTP_RETRIES": "0"}
    for words in (("install",), ("find", "--managed-python")):
        command = [program, "python", *words, version]
        done = subprocess.run(command, env=variables, check=False, capture_output=True, text=True)
        if done.returncode:
            return None
    return done.stdout.strip()


def _debian(version: str, release: str, tests: tuple[str, ...]) -> bool:
    """A release of Debian in a folder; packages are laid into it from outside, for it has no pip."""
    root, mirror = PLACE / release, _mirror()
    if not (root / "usr" / "bin" / f"python{version}").exists():
        shutil.rmtree(root, ignore_errors=True)
        script = "/usr/share/debootstrap/scripts/sid"  # older debootstraps know no newer release by name
        make = ["debootstrap", "--variant=minbase", f"--include=python{version}", release, str(root), mirror, script]
        if subprocess.run(make, check=False, stdout=subprocess.DEVNULL).returncode:
            print(f"Python {version}: Debian's {release} could not be fetched: not tried", flush=True)
            return True
    site, work = root / "opt" / "site", root / "checkout"
    for folder in (site, work):
        shutil.rmtree(folder, ignore_errors=True)
    uv("pip", "install", "--quiet", "--python-version", version, "--target", site, ".", "--group", "test")
    for name in ("src", "tests", "dev", "docs", "oracles"):
        shutil.copytree(ROOT / name, work / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", work)
    shutil.copytree(package(), work / "package")
    variables = ["PYTHONPATH=/opt/site", "SEGSHIP_PACKAGE=/checkout/package", "OMP_NUM_THREADS=1", "HOME=/root"]
    inside = f'cd /checkout && exec python{version} "$@"'
    command = ["chroot", str(root), "/usr/bin/env", "-i", "PATH=/usr/bin:/bin", *variables, "sh", "-c", inside, "sh"]
    return passes(command, *tests)


def _mirror() -> str:
    """Where this machine's own packages come from."""
    command = ["apt-get", "indextargets", "--format", "$(SITE)", "Created-By: Packages"]
    sites = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return next((site for site in sites if not site.endswith("security")), "")


def main() -> int:
    """Try the environments that are named; the number of those that failed is the exit status."""
    made = (base, lowest, phones, libraries, paddle, rtx, pythons)
    kinds = {kind.__name__: kind for kind in made}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kinds", nargs="+", choices=kinds)
    options = parser.parse_args()
    PLACE.mkdir(parents=True, exist_ok=True)
    failed = 0
    for kind in options.kinds:
        begun = time.monotonic()
        failed += not kinds[kind]()
        print(f"check-{kind}: {time.monotonic() - begun:.0f} s", flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(main())
