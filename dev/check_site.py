"""What a reader of the built site must not meet: a column cut off, or anything that is loaded from elsewhere.

::

    python dev/check_site.py [build/site] [--widths 1280 390] [--screenshots FOLDER]

Every page is opened in headless Chromium at each width. An element of the content that reaches beyond the window, or
beyond an ancestor that hides what overflows, is named, unless an ancestor scrolls, and so is what a page's own scripts
ask for elsewhere. The status is the number of mistakes. ``--screenshots`` also keeps a picture of each page and width.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from functools import partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

__all__ = ["cut_off", "find_chromium", "foreign"]

ROOT = Path(__file__).parents[1]
WIDTHS = (1280, 390)
LOADING = {("script", "src"), ("img", "src"), ("iframe", "src"), ("source", "src"), ("link", "href")}
NOT_LOADED = {"canonical", "prev", "next"}
SWITCHES = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--mute-audio"),
)
# One window shows a page after the other in a frame, so that Chromium starts once and loads each page once.
HARNESS = """<!doctype html><meta charset="utf-8"><body><script>
const pages = PAGES, widths = WIDTHS, found = [];
function mistakes(window, page, width) {
  const names = [], root = window.document.scrollingElement;
  if (root.scrollWidth > width + 1) names.push("the page is " + root.scrollWidth + " pixels wide");
  for (const element of window.document.querySelectorAll("article *")) {
    const box = element.getBoundingClientRect();
    if (!box.width || !box.height || window.getComputedStyle(element).visibility === "hidden") continue;
    let right = width;
    for (let above = element.parentElement; above; above = above.parentElement) {
      const flow = window.getComputedStyle(above).overflowX;
      if (flow === "auto" || flow === "scroll") { right = Infinity; break; }
      if (flow !== "visible" && above !== root && above !== window.document.body)
        right = Math.min(right, above.getBoundingClientRect().right);
    }
    if (box.right > right + 1)
      names.push(element.tagName.toLowerCase() + " reaches " + Math.round(box.right) + " of " + Math.round(right)
                 + ": " + element.textContent.trim().slice(0, 60));
  }
  for (const {name} of window.performance.getEntriesByType("resource"))
    if (!name.startsWith(window.location.origin) && !name.startsWith("data:")) names.push("asks for " + name);
  for (const text of names.slice(0, 5)) found.push([page, width, text]);
}
(async () => {
  for (const page of pages) {
    const frame = document.createElement("iframe");
    frame.style.cssText = "border:0;height:900px;width:" + widths[0] + "px";
    frame.src = "/" + page;
    const loaded = new Promise(done => frame.onload = done);
    document.body.append(frame);
    await loaded;
    for (const width of widths) {  // as when a window is resized or a phone turned
      frame.style.width = width + "px";
      await new Promise(done => setTimeout(done, 150));
      mistakes(frame.contentWindow, page, width);
    }
    frame.remove();
  }
  await fetch("/found", {method: "POST", body: JSON.stringify(found)});
})();
</script></body>"""


class _Addresses(HTMLParser):
    """What a page loads."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep the addresses of what the tag loads."""
        values = dict(attrs)
        if values.get("rel") not in NOT_LOADED:
            self.found += [value for name, value in attrs if value and (tag, name) in LOADING]


def foreign(site: Path) -> list[str]:
    """What pages and style sheets load from another address than the site's own.

    Args:
        site: The folder of the built site.

    Returns:
        File and address of each.
    """
    found = []
    for page in sorted(site.rglob("*.html")):
        parser = _Addresses()
        parser.feed(page.read_text(encoding="utf-8"))
        found += [f"{page.relative_to(site)} loads {address}" for address in parser.found if "//" in address]
    for sheet in sorted(site.rglob("*.css")):
        addresses = re.findall(r"url\(\s*['\"]?((?:https?:)?//[^)]*)\)", sheet.read_text(encoding="utf-8"))
        found += [f"{sheet.relative_to(site)} loads {address}" for address in addresses]
    return found


def find_chromium() -> str | None:
    """The path of a Chromium, or None."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


class _Site(SimpleHTTPRequestHandler):
    """The site, the harness at /harness, and a place for its findings."""

    def __init__(self, *args: Any, pages: list[str], widths: list[int], found: list[Any], **named: Any) -> None:
        self.harness = HARNESS.replace("PAGES", json.dumps(pages)).replace("WIDTHS", json.dumps(widths))
        self.found = found
        super().__init__(*args, **named)

    def do_GET(self) -> None:
        """Answer with the harness or a file."""
        if self.path != "/harness":
            super().do_GET()
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(self.harness.encode())

    def do_POST(self) -> None:
        """Take the findings."""
        self.found.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(204)
        self.end_headers()
        self.server.done.set()  # type: ignore[attr-defined]

    def log_message(self, *_: Any) -> None:
        """Say nothing of each request."""


def cut_off(
    site: Path, chromium: str, widths: tuple[int, ...] = WIDTHS, screenshots: Path | None = None, limit: float = 300
) -> list[str]:
    """The elements that a reader cannot see whole.

    Args:
        site: The folder of the built site.
        chromium: The program.
        widths: Widths of the window in pixels.
        screenshots: Folder for a picture of each page and width.
        limit: Seconds that all pages may take.

    Returns:
        Page, width, element and how far it reaches.

    Raises:
        TimeoutError: Chromium did not finish.
    """
    pages = sorted(page.relative_to(site).as_posix() for page in site.rglob("*.html") if page.name != "404.html")
    found: list[Any] = []
    handler = partial(_Site, directory=str(site), pages=pages, widths=list(widths), found=found)
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.done = threading.Event()  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_address[1]}"
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        start = [chromium, *SWITCHES, f"--user-data-dir={profile}"]
        window = [*start, f"--window-size={max(widths)},1000", "--remote-debugging-port=0", f"{address}/harness"]
        browser = subprocess.Popen(window, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        finished = server.done.wait(limit)  # type: ignore[attr-defined]
        browser.terminate()
        browser.wait()
        for page in pages if screenshots else []:
            for width in widths:
                picture = f"--screenshot={screenshots}/{page.replace('/', '-')}-{width}.png"
                subprocess.run(
                    [*start, f"--window-size={width},1400", picture, f"{address}/{page}"],
                    check=True,
                    capture_output=True,
                )
    server.shutdown()
    server.server_close()
    if not finished:
        raise TimeoutError(f"Chromium did not look through {len(pages)} pages in {limit:.0f} seconds")
    return [f"{page} at {width} pixels: {text}" for page, width, text in found[0]]


def main() -> int:
    """Print the mistakes; their number is the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("site", type=Path, nargs="?", default=ROOT / "build" / "site")
    parser.add_argument("--widths", type=int, nargs="+", default=list(WIDTHS))
    parser.add_argument("--screenshots", type=Path)
    options = parser.parse_args()
    found = foreign(options.site)
    chromium = find_chromium()
    if chromium is None:
        print("no Chromium is here (apt-get install chromium): widths are not looked at")
    else:
        found += cut_off(options.site, chromium, tuple(options.widths), options.screenshots)
    print("\n".join(found) or "nothing is cut off, nothing is loaded from elsewhere")
    return len(found)


if __name__ == "__main__":
    sys.exit(main())
