"""Build the program of each language, run the golden packages through it, and print what is equal.

::

    python dev/languages.py [--only c,go] [--no-install]

As root on Debian, what is missing is installed; elsewhere it is named, and its language is skipped. Each language
leaves ``build/languages/NAME``, called ``NAME PACKAGE IMAGE.ppm MASK.pgm [SCORES]`` from any folder. The status is the
number of languages that differ from Python in a mask, a score or an error's message.
"""

from __future__ import annotations

import argparse
import sys

from language_builds import BUILDS
from language_checks import check
from language_tools import PLACE, MissingToolError, install


def build(names: list[str]) -> dict[str, str]:
    """Build each; why it was skipped, by name, or nothing."""
    skipped = {}
    PLACE.mkdir(parents=True, exist_ok=True)
    for name in names:
        print(f"building {name}", flush=True)
        try:
            BUILDS[name]()
        except MissingToolError as missing:
            skipped[name] = str(missing)
            print(f"  skipped: {missing}")
    return skipped


def main() -> int:
    """Build and compare; the number of languages that differ."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--only", default=",".join(BUILDS), help="languages, with commas between: " + ", ".join(BUILDS))
    parser.add_argument("--no-install", action="store_true", help="install nothing")
    parser.add_argument("--require", action="store_true", help="a language that is skipped counts as one that differs")
    given = parser.parse_args()
    names = given.only.split(",")
    if unknown := set(names) - set(BUILDS):
        parser.error(f"no language is called {', '.join(sorted(unknown))}: {', '.join(BUILDS)}")
    if not given.no_install:
        install(names)
    skipped = build(names)
    differ = check([name for name in names if name not in skipped])
    return differ + (len(skipped) if given.require else 0)


if __name__ == "__main__":
    sys.exit(main())
