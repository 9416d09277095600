"""How the program of each language is built."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from language_tools import INCLUDE, SOURCES, MissingToolError, fresh, native, program, require, run

if TYPE_CHECKING:
    from collections.abc import Callable

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
    out = fresh("csharp") / "segment.exe"
    run("mcs", "-warnaserror", "-warn:4", "-optimize", f"-out:{out}", *sorted((SOURCES / "csharp").glob("*.cs")))
    program("csharp", "mono", out)


def java() -> None:
    """Java, with the functions of JNI in C."""
    require("java")
    out, source = fresh("java"), SOURCES / "java"
    files = (*sorted((source / "segship").glob("*.java")), source / "sample" / "Segment.java")
    run("javac", "--release", "17", "-Xlint:all", "-Werror", "-d", out, *files)
    javac = shutil.which("javac")
    headers = Path(javac or "").resolve().parents[1] / "include"
    if not (headers / "jni.h").is_file():
        raise MissingToolError(f"{headers}/jni.h not found (on Debian: apt-get install openjdk-17-jdk-headless)")
    include = [f"-I{folder}" for folder in (headers, headers / "linux", INCLUDE)]
    library = out / "libsegship_jni.so"
    jni = source / "native" / "segship_jni.c"
    run("gcc", *STRICT, "-shared", "-fPIC", *include, jni, f"-L{native()}", "-lsegship", "-o", library)
    program("java", "java", "-cp", out, f"-Djava.library.path={out}", "Segment")


def node() -> None:
    """Node, with an addon in C on Node-API."""
    require("node")
    out = fresh("node")
    include = [f"-I{folder}" for folder in (_node_headers(out), INCLUDE)]
    addon = out / "segship_node.node"
    source = SOURCES / "node" / "segship_node.c"
    run("gcc", *STRICT, "-shared", "-fPIC", *include, source, f"-L{native()}", "-lsegship", "-o", addon)
    program("node", "node", SOURCES / "node" / "segment.js", SEGSHIP_NODE_ADDON=addon)


def _node_headers(out: Path) -> Path:
    """Where node_api.h lies: beside Node, or in npm's package of nothing else."""
    executable = Path(shutil.which("node") or "").resolve()
    for folder in (executable.parents[1] / "include" / "node", Path("/usr/include/nodejs/src")):
        if (folder / "node_api.h").is_file():
            return folder
    if shutil.which("npm") is None:
        raise MissingToolError("node_api.h and npm not found (on Debian: apt-get install libnode-dev)")
    run("npm", "install", "--ignore-scripts", "--no-save", "--prefix", out, "node-api-headers@1")
    return out / "node_modules" / "node-api-headers" / "include"


def browser() -> None:
    """The browser: the core as WebAssembly beside onnxruntime-web, in headless Chromium."""
    require("browser")
    raise MissingToolError("not there yet")


def go() -> None:
    """Go, by cgo."""
    require("go")
    out = fresh("go") / "segment"
    run("go", "build", "-o", out, "./cmd/segment", cwd=SOURCES / "go", CGO_LDFLAGS=f"-L{native()}", GOFLAGS="-mod=mod")
    program("go", out)


def rust() -> None:
    """Rust, without a crate of others."""
    require("rust")
    out = fresh("rust")
    build = ("cargo", "build", "--quiet", "--offline", "--release", "--example", "segment", "--target-dir", out)
    run(*build, cwd=SOURCES / "rust", RUSTFLAGS=f"-D warnings -L native={native()}")
    program("rust", out / "release" / "examples" / "segment")


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
