"""The size budget that ruff cannot count: no source file above 500 lines."""

from __future__ import annotations

import sys
from pathlib import Path

LIMIT = 500


def main() -> int:
    """Print the files above the limit; the number of them is the exit status."""
    root = Path(__file__).parents[1]
    files = [
        file
        for folder in ("src", "tests", "demo", "oracles", "benchmarks", "docs", "dev", "fuzz")
        for file in (root / folder).rglob("*.py")
    ]
    lengths = {file: file.read_text(encoding="utf-8").count("\n") for file in files if "assets" not in file.parts}
    long = {file: length for file, length in lengths.items() if length > LIMIT}
    for file, length in long.items():
        print(f"{file.relative_to(root)}: {length} lines, the limit is {LIMIT}: split it by concept")
    return len(long)


if __name__ == "__main__":
    sys.exit(main())
