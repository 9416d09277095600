"""One of the plain processes of cluster.py: ``python cluster_half.py PACKAGE LIST FOLDER``.

For each line of its input it writes the masks of the listed images, one after the other, and prints a line.
"""

from __future__ import annotations

import sys
from pathlib import Path

import segship
from segship.runtime.result_form import ResultForm
from segship.runtime.result_index import begin_index
from segship.runtime.results import write_results


def main() -> None:
    """Open the package and wait."""
    package, images, folder = sys.argv[1:]
    photos = [Path(line) for line in Path(images).read_text().splitlines()]
    form = ResultForm(overlay=False)
    with segship.Segmentor(package, threads=1) as segmentor:
        for line in sys.stdin:
            to = Path(folder) / f"plain-{line.strip()}"
            for photo in photos:
                write_results(segmentor, photo, to, photo.stem, form, lambda to=to: begin_index(to))
            print("done", flush=True)


if __name__ == "__main__":
    main()
