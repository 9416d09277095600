"""How the program of each language is built."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from language_tools import (
    INCLUDE,
    PARTS,
    ROOT,
    SOURCES,
    VECTORS,
    MissingToolError,
    fresh,
    native,
    own_tests,
    program,
    require,
    run,
)

if TYPE_CHECKING:
    from collections.abc import Callable

# Without one, Mono writes question marks and Java refuses file names that are not ASCII.
LOCALE = "C.UTF-8"
STRICT = ("-O2", "-Wall", "-Wextra", "-Werror")


def c() -> None:
    """C, with a C compiler alone."""
    require("c")
    out = fresh("c") / "segment"
    run(
        "gcc", "-std=c99", *STRICT, f"-I{INCLUDE}", SOURCES / "c" / "segment.c", f"-L{native()}", "-lsegship", "-o", out
    )
    program("c", out)


def cpp() -> None:
    """C++."""
    require("cpp")
    out = fresh("cpp") / "segment"
    source = SOURCES / "cpp" / "segment.cpp"
    run("g++", "-std=c++17", *STRICT, f"-I{INCLUDE}", source, f"-L{native()}", "-lsegship", "-o", out)
    program("cpp", out)


def csharp() -> None:
    """C#, one source file beside the program's."""
    require("csharp")
    native()
    out, source = fresh("csharp"), SOURCES / "csharp"
    for program_name, file in (("segment", "sample/Segment.cs"), ("golden", "tests/Golden.cs")):
        command = ("mcs", "-warnaserror", "-warn:4", "-optimize", "-r:System.Core", f"-out:{out / program_name}.exe")
        run(*command, source / "Segship.cs", source / file)
    program("csharp", "mono", out / "segment.exe", LC_ALL=LOCALE)
    own_tests("csharp", "mono", out / "golden.exe", VECTORS)


def java() -> None:
    """Java, with the functions of JNI in C."""
    require("java")
    out, source = fresh("java"), SOURCES / "java"
    files = (
        *sorted((source / "segship").glob("*.java")),
        *(source / "sample").glob("*"),
        *(source / "tests").glob("*"),
    )
    run("javac", "--release", "17", "-Xlint:all", "-Werror", "-d", out, *files)
    javac = shutil.which("javac")
    headers = Path(javac or "").resolve().parents[1] / "include"
    if not (headers / "jni.h").is_file():
        raise MissingToolError(f"{headers}/jni.h not found (on Debian: apt-get install openjdk-17-jdk-headless)")
    include = [f"-I{folder}" for folder in (headers, headers / "linux", INCLUDE)]
    library = out / "libsegship_jni.so"
    jni = source / "native" / "segship_jni.c"
    run("gcc", *STRICT, "-shared", "-fPIC", *include, jni, f"-L{native()}", "-lsegship", "-o", library)
    start = ("java", "-cp", out, f"-Djava.library.path={out}")
    program("java", *start, "Segment", LC_ALL=LOCALE)
    own_tests("java", *start, "Golden", VECTORS)


def node() -> None:
    """Node, with an addon in C on Node-API."""
    require("node")
    out = fresh("node")
    include = [f"-I{folder}" for folder in (_node_headers(out), INCLUDE)]
    addon = out / "segship_node.node"
    source = SOURCES / "node" / "segship_node.c"
    run("gcc", *STRICT, "-shared", "-fPIC", *include, source, f"-L{native()}", "-lsegship", "-o", addon)
    program("node", "node", SOURCES / "node" / "segment.js", SEGSHIP_NODE_ADDON=addon)
    own_tests("node", "node", "--test", SOURCES / "node" / "segship.test.js", SEGSHIP_NODE_ADDON=addon)


def _node_headers(out: Path) -> Path:
    """Where node_api.h lies: beside Node, or in npm's package of nothing else."""
    executable = Path(shutil.which("node") or "").resolve()
    for folder in (executable.parents[1] / "include" / "node", Path("/usr/include/nodejs/src")):
        if (folder / "node_api.h").is_file():
            return folder
    if shutil.which("npm") is None:
        raise MissingToolError("node_api.h and npm not found (on Debian: apt-get install libnode-dev)")
    run("npm", "install", "--ignore-scripts", "--no-save", "--prefix", out, "node-api-headers@1.9.0")
    return out / "node_modules" / "node-api-headers" / "include"


def browser() -> None:
    """The browser: the core as WebAssembly beside onnxruntime-web, in headless Chromium."""
    require("browser")
    out = PARTS / "browser"  # kept: npm need not fetch again what is there
    shutil.copytree(SOURCES / "web", out, dirs_exist_ok=True, ignore=shutil.ignore_patterns("node_modules", "dist"))
    run("npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", cwd=out)
    run("node", "tools/build.mjs", cwd=out, SEGSHIP_NATIVE=str(ROOT / "native"))
    program("browser", "node", SOURCES / "web" / "tools" / "segment.mjs", SEGSHIP_WEB_OUT=out / "dist")
    tests = sorted((SOURCES / "web" / "test").glob("*.test.mjs"))
    own_tests("browser", "node", "--test", *tests, SEGSHIP_WEB_OUT=out / "dist")


def go() -> None:
    """Go, by cgo."""
    require("go")
    out = fresh("go")
    folder, variables = SOURCES / "go", {"CGO_LDFLAGS": f"-L{native()}"}
    run("go", "build", "-o", out / "segment", "./cmd/segment", cwd=folder, **variables)
    run("go", "test", "-c", "-o", out / "golden", ".", cwd=folder, **variables)
    program("go", out / "segment")
    own_tests("go", out / "golden", SEGSHIP_VECTORS=VECTORS)


def rust() -> None:
    """Rust, without a crate of others."""
    require("rust")
    out = fresh("rust")
    folder, flags = SOURCES / "rust", f"-D warnings -L native={native()}"
    cargo = ("cargo", "--quiet", "--offline", "--config", f"build.target-dir='{out}'")
    run(*cargo, "build", "--release", "--example", "segment", cwd=folder, RUSTFLAGS=flags)
    program("rust", out / "release" / "examples" / "segment")
    manifest = ("--manifest-path", folder / "Cargo.toml")
    own_tests("rust", *cargo, "test", "--release", *manifest, "--test", "golden", RUSTFLAGS=flags)


BUILDS: dict[str, Callable[[], None]] = {
    "c": c,
    "cpp": cpp,
    "csharp": csharp,
    "java": java,
    "node": node,
    "browser": browser,
    "go": go,
    "rust": rust,
}
