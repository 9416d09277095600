"""Fetching over a local server that cuts off, lies, dawdles and refuses."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from segship.core.errors import DownloadError, InputError
from segship.reading.configs.config import read_config
from segship.tools.zoo import download, find_model, published_models
from segship.tools.zoo.fetch import fetch
from segship.tools.zoo.models import PublishedModel
from support.commands import refused, segship
from support.references import configs

pytest.importorskip("requests", reason="requests is not installed")

BODY = bytes(range(256)) * 4096  # a megabyte
DIGEST = hashlib.sha256(BODY).hexdigest()[:8]
NAME = f"net-{DIGEST}.pth"


class Server(ThreadingHTTPServer):
    """Serves `files`; notes every request; `cut` and `dawdle` say how a transfer goes wrong."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {f"/{NAME}": BODY}
        self.asked: list[tuple[str, str | None]] = []
        self.cut: list[int] = []
        self.dawdle = 0.0
        self.ranges = True
        self.busy = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        asked = self.headers.get("Range")
        self.server.asked.append((self.path, asked))
        if self.server.busy:
            self.server.busy -= 1
            self.send_error(503)
            return
        path = self.path.partition("://")[2]
        body = self.server.files.get(f"/{path.partition('/')[2]}" if path else self.path)
        if body is None:
            self.send_error(404)
            return
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and self.server.ranges else 0
        if start >= len(body) and start:
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        self.wfile.write(self.part(body[start:]))

    def part(self, body: bytes) -> bytes:
        if self.server.dawdle:
            self.wfile.write(body[:1000])
            time.sleep(self.server.dawdle)
        return body[: self.server.cut.pop(0)] if self.server.cut else body


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    running = Server()
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield running
    running.shutdown()
    thread.join()
    running.server_close()


def test_a_file_is_fetched_once_and_told_of(server: Server, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    assert fetch(f"{server.url}/{NAME}", tmp_path / NAME, progress=lambda *at: seen.append(at))
    assert (tmp_path / NAME).read_bytes() == BODY
    assert seen[-1] == (len(BODY), len(BODY))
    assert not fetch(f"{server.url}/{NAME}", tmp_path / NAME)
    assert len(server.asked) == 1
    assert [path.name for path in tmp_path.iterdir()] == [NAME]


def test_a_truncated_transfer_goes_on_where_it_broke_off(server: Server, tmp_path: Path) -> None:
    server.cut = [300_000, 200_000]
    fetch(f"{server.url}/{NAME}", tmp_path / NAME)
    assert (tmp_path / NAME).read_bytes() == BODY
    starts = [int((asked or "bytes=0-")[6:-1]) for _, asked in server.asked]
    assert starts == sorted(starts)
    assert 0 < starts[1] <= 300_000


def test_a_transfer_that_keeps_breaking_is_kept_for_the_next_call(server: Server, tmp_path: Path) -> None:
    server.cut = [262_144, 262_144, 0]
    with pytest.raises(DownloadError, match="run it again to go on"):
        fetch(f"{server.url}/{NAME}", tmp_path / NAME)
    assert [path.name for path in tmp_path.iterdir()] == [f"{NAME}.part"]
    fetch(f"{server.url}/{NAME}", tmp_path / NAME)
    assert server.asked[-1][1] not in {None, "bytes=0-"}
    assert (tmp_path / NAME).read_bytes() == BODY


def test_a_server_that_ignores_ranges_is_read_from_the_start(server: Server, tmp_path: Path) -> None:
    server.ranges = False
    (tmp_path / f"{NAME}.part").write_bytes(BODY[:1000])
    fetch(f"{server.url}/{NAME}", tmp_path / NAME)
    assert (tmp_path / NAME).read_bytes() == BODY


@pytest.mark.parametrize("left", [b"of another file", BODY, BODY + b"more"])
def test_what_an_earlier_call_left_is_never_trusted(server: Server, tmp_path: Path, left: bytes) -> None:
    (tmp_path / f"{NAME}.part").write_bytes(left)
    fetch(f"{server.url}/{NAME}", tmp_path / NAME)
    assert (tmp_path / NAME).read_bytes() == BODY


def test_a_wrong_hash_is_refused_and_nothing_kept(server: Server, tmp_path: Path) -> None:
    server.files["/net-00000000.pth"] = BODY
    with pytest.raises(DownloadError, match="another SHA-256"):
        fetch(f"{server.url}/net-00000000.pth", tmp_path / "net-00000000.pth")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_there_but_damaged_is_replaced(server: Server, tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(BODY[:-1] + b"!")
    assert fetch(f"{server.url}/{NAME}", tmp_path / NAME)
    assert (tmp_path / NAME).read_bytes() == BODY


def test_404_is_told_and_leaves_nothing(server: Server, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="the server answers 404"):
        fetch(f"{server.url}/gone-12345678.pth", tmp_path / "gone-12345678.pth")
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_falls_silent_is_given_up(server: Server, tmp_path: Path) -> None:
    server.dawdle = 2.0
    began = time.monotonic()
    with pytest.raises(DownloadError, match="broke off"):
        fetch(f"{server.url}/{NAME}", tmp_path / NAME, timeout=0.2)
    assert time.monotonic() - began < 10
    assert not (tmp_path / NAME).exists()


def test_a_busy_server_is_asked_again(server: Server, tmp_path: Path) -> None:
    server.busy = 2
    fetch(f"{server.url}/{NAME}", tmp_path / NAME)
    assert (tmp_path / NAME).read_bytes() == BODY
    server.busy = 9
    with pytest.raises(DownloadError, match="503"):
        fetch(f"{server.url}/other-12345678.pth", tmp_path / "other-12345678.pth")


def test_no_server_at_all_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="refused"):
        fetch("http://127.0.0.1:9/net-12345678.pth", tmp_path / "net-12345678.pth")
    model = find_model("pspnet_r50-d8_4xb2-40k_cityscapes-512x1024")
    with pytest.raises(DownloadError, match="or name a folder"):
        download(model, tmp_path, configs="http://127.0.0.1:9/configs")
    with pytest.raises(DownloadError, match="no address"):
        fetch("weights.pth", tmp_path / "weights.pth")


def test_the_proxy_of_the_environment_is_used(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", server.url)
    monkeypatch.setenv("NO_PROXY", "")
    fetch(f"http://weights.example/{NAME}", tmp_path / NAME)
    assert server.asked == [(f"http://weights.example/{NAME}", None)]


def published(server: Server) -> PublishedModel:
    return replace(find_model("pspnet_r50-d8_4xb2-40k_cityscapes-512x1024"), weights=f"{server.url}/{NAME}")


def test_a_network_comes_with_its_config_as_one_file(server: Server, tmp_path: Path) -> None:
    model, folder = published(server), configs()
    server.files |= {
        f"/configs/{file.relative_to(folder).as_posix()}": file.read_bytes()
        for part in ("pspnet", "_base_")
        for file in (folder / part).rglob("*.py")
    }
    by_address = download(model, tmp_path / "a", configs=f"{server.url}/configs")
    by_folder = download(model, tmp_path / "b", configs=folder)
    expected = read_config(folder / model.config).values
    for done in (by_address, by_folder):
        assert read_config(done.config).values == expected
        assert done.weights.read_bytes() == BODY
    assert sum(path.startswith("/configs/") for path, _ in server.asked) == 5


def test_a_config_that_leads_outside_is_refused(server: Server, tmp_path: Path) -> None:
    model = published(server)
    server.files[f"/configs/{model.config}"] = b"_base_ = ['../../../secret.py']\n"
    with pytest.raises(DownloadError, match="outside the folder of configs"):
        download(model, tmp_path / "to", configs=f"{server.url}/configs")
    assert not (tmp_path / "to").exists()


def test_every_published_network_is_listed_with_what_is_needed_to_fetch_it() -> None:
    models = published_models()
    assert len(models) == len({model.name for model in models}) == 624
    for model in models:
        assert model.weights.startswith("https://download.openmmlab.com/mmsegmentation/")
        assert model.file.rpartition("-")[2].removesuffix(".pth").isalnum()
        assert 0 < max(model.figures.values()) < 100
        assert not model.config.startswith(("/", "configs/"))


def test_every_config_of_the_list_exists() -> None:
    folder = configs()
    assert [model.config for model in published_models() if not (folder / model.config).is_file()] == []


def test_networks_are_found_by_parts_patterns_families_and_data_sets() -> None:
    found = published_models("r101-d8", family="psp-net", dataset="pascal voc")
    assert {(model.family, model.dataset) for model in found} == {("PSPNet", "Pascal VOC 2012 + Aug")}
    assert published_models("segformer_mit-b0*ade20k*")[0].figures["mIoU"] == 37.41
    old = find_model("pspnet_r50-d8_512x1024_40k_cityscapes_20200605_003338-2966598c")
    assert old.name == "pspnet_r50-d8_4xb2-40k_cityscapes-512x1024"
    with pytest.raises(InputError, match="names hold it, as 'pspnet_"):
        find_model("pspnet")
    with pytest.raises(InputError, match="Did you mean 'pspnet"):
        find_model("pspnet_r50-d8_4xb2-40k_cityscape-512x1024")


def test_the_command_lists_without_torch_and_refuses_unknown_names(tmp_path: Path) -> None:
    done = segship("zoo", "list", "pspnet_r50-d8", "--dataset", "cityscapes", "--json", "-", torch=False)
    assert done.returncode == 0, done.stderr
    assert {"name", "dataset", "figures", "config", "weights"} <= json.loads(done.stdout)[0].keys()
    assert "77.85" in segship("zoo", "list", "pspnet_r50-d8_4xb2-40k_cityscapes-512x1024", torch=False).stdout
    assert "segship zoo list" in refused(segship("zoo", "download", "nothing", "--to", tmp_path))
