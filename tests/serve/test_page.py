"""The page in a real browser: on a desk and on a phone, by mouse and by keyboard."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import segship

from .browser import Browser, find, opened
from .conftest import Client, running

RESULTS = "document.querySelectorAll('article canvas').length"
SILENT = "!document.querySelector('#message').textContent"
MOUSE = "new PointerEvent('{}', {{pointerType: 'mouse', bubbles: true}})"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    program = find()
    if program is None:
        pytest.skip("no Chromium is here: apt-get install chromium")
    with opened(program, tmp_path_factory.mktemp("profile")) as page:
        yield page


def shown(browser: Browser, address: str, width: int) -> None:
    """Open the page with the first sample in two models."""
    browser.go("about:blank", width)
    browser.requests.clear()
    browser.errors.clear()
    browser.go(f"{address}/#sample-1.jpg", width)
    browser.wait(
        "document.querySelectorAll('article canvas').length === 2 && !document.querySelector('#message').textContent"
    )


@pytest.mark.parametrize("width", [1280, 390])
def test_a_sample_is_shown_by_every_model(
    client: Client, browser: Browser, package: Path, width: int, tmp_path: Path
) -> None:
    address = f"http://127.0.0.1:{client.port}"
    shown(browser, address, width)
    assert browser.run("document.documentElement.scrollWidth - innerWidth") <= 0, "it is wider than the window"
    beside = browser.run("new Set([...document.querySelectorAll('article')].map((a) => a.offsetTop)).size")
    assert beside == (1 if width > 600 else 2)
    small = browser.run(
        "[...document.querySelectorAll('button, a, input:not(#file), #drop')].filter((e) => e.offsetHeight)"
        ".filter((e) => (e.closest('label') ?? e).offsetHeight < 32).map((e) => e.outerHTML)"
    )
    assert small == []
    with segship.Segmentor(package) as segmentor:
        mask = segmentor(client.ask("GET", "/page/sample-1.jpg")[1])
        share = float(np.mean(mask == np.bincount(mask.ravel()).argmax()))
        assert segmentor.classes[np.bincount(mask.ravel()).argmax()] == browser.run(
            "document.querySelector('.legend .name').textContent"
        )
    told = browser.run("parseFloat(document.querySelector('.legend .share').textContent)")
    assert told == pytest.approx(100 * share, abs=0.06)
    assert all(one.startswith((address, "data:", "blob:", "about:")) for one in browser.requests), browser.requests
    assert browser.errors == []
    folder = Path(os.environ.get("SEGSHIP_SCREENSHOTS", tmp_path))  # to look at them
    browser.photograph(folder / f"page-{width}.png")
    assert (folder / f"page-{width}.png").stat().st_size > 20_000


def pixel(browser: Browser) -> list[int]:
    """The sum of the first picture's colours, once it is drawn."""
    found: list[int] = browser.run(
        "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => {"
        "const c = document.querySelector('canvas');"
        "const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;"
        "const s = [0, 0, 0]; for (let i = 0; i < d.length; i += 4) for (let k = 0; k < 3; k += 1) s[k] += d[i + k];"
        "done(s) })))"
    )
    return found


def test_opacity_and_classes_change_the_picture(client: Client, browser: Browser) -> None:
    shown(browser, f"http://127.0.0.1:{client.port}", 1280)
    half = pixel(browser)
    slide = "const o = document.querySelector('#opacity'); o.value = {}; o.dispatchEvent(new Event('input'));"
    browser.run(f"(() => {{ {slide.format(100)} }})()")
    mask = pixel(browser)
    assert mask != half
    button = "document.querySelector('.legend button')"
    browser.run(f"{button}.dispatchEvent({MOUSE.format('pointerenter')}), 1")
    assert browser.run(f"{button}.getAttribute('aria-pressed')") == "true"
    assert pixel(browser) != mask
    browser.run(f"{button}.dispatchEvent({MOUSE.format('pointerleave')}), 1")
    assert pixel(browser) == mask
    place = browser.run(
        "(() => { const b = document.querySelector('canvas').getBoundingClientRect(); return [b.x, b.y] })()"
    )
    browser.send("Input.dispatchMouseEvent", type="mouseMoved", x=place[0] + 30, y=place[1] + 30)
    assert browser.run("document.querySelector('.picture output').textContent")


def test_the_keyboard_alone_is_enough(client: Client, browser: Browser) -> None:
    browser.go("about:blank", 1280)
    browser.go(f"http://127.0.0.1:{client.port}/", 1280)
    browser.wait(
        "document.querySelectorAll('#models input').length === 2 && document.querySelectorAll('#samples button').length"
    )
    reached = []
    for _ in range(12):
        browser.press("Tab", 9)
        reached.append(
            browser.run("document.activeElement.closest('#samples, #drop, #models, #opacity-label')?.id ?? ''")
        )
        if reached[-1] == "samples":
            break
    assert [*dict.fromkeys(reached)] == ["models", "drop", "samples"]
    browser.press("Enter", 13, "\r")
    browser.wait(f"{RESULTS} === 2")
    outline = browser.run("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid", "one does not see where one is"
    browser.run("document.querySelector('#opacity').focus(), 1")
    before = browser.run("document.querySelector('#opacity').value")
    browser.press("ArrowRight", 39)
    assert browser.run("document.querySelector('#opacity').value") == str(int(before) + 1)


def test_a_pasted_and_a_dropped_image_and_what_is_none(client: Client, browser: Browser) -> None:
    shown(browser, f"http://127.0.0.1:{client.port}", 390)
    give = (
        "(async () => {{ const held = new DataTransfer();"
        "held.items.add(new File([{what}], 'a', {{type: 'image/jpeg'}}));"
        "document.dispatchEvent(new {kind}('{event}', {{{field}: held, bubbles: true, cancelable: true}})) }})()"
    )
    browser.run(give.format(what="'no image'", kind="DragEvent", event="drop", field="dataTransfer"))
    browser.wait("document.querySelector('#message.error').textContent.includes('image')")
    picture = "await (await fetch('page/sample-2.jpg')).blob()"
    browser.run(give.format(what=picture, kind="ClipboardEvent", event="paste", field="clipboardData"))
    browser.wait("!document.querySelector('#message').textContent && document.querySelectorAll('article').length === 2")


def test_a_token_is_asked_for_once(package: Path, browser: Browser, tmp_path: Path) -> None:
    (tmp_path / "tokens").write_text("a-word\n")
    with running(f"one={package}", token_file=tmp_path / "tokens") as guarded:
        browser.go(f"http://127.0.0.1:{guarded.port}/#sample-1.jpg", 390)
        browser.wait("!document.querySelector('#token-form').hidden")
        browser.run("document.querySelector('#token').value = 'a-word', 1")
        browser.run("document.querySelector('#token-form').requestSubmit(), 1")
        browser.wait(
            "document.querySelector('#token-form').hidden && document.querySelectorAll('#models input').length === 1"
        )
        browser.run("document.querySelector('#samples button').click(), 1")
        browser.wait(f"{RESULTS} === 1")
