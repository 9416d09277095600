"""Fetching from a local server that answers as the hub does."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

pytest.importorskip("huggingface_hub", reason="pip install segship[huggingface]")

from typer.testing import CliRunner

from segship.cli.app import app
from segship.core.errors import ConfigError, DownloadError, InputError, UnsupportedError
from segship.sources import load
from segship.tools.zoo import download_from_hub

COMMIT = "0123456789abcdef0123456789abcdef01234567"
WEIGHTS = bytes(range(256)) * 4000
FILES = {
    "config.json": b'{"model_type": "segformer"}',
    "preprocessor_config.json": b"{}",
    "model.safetensors": WEIGHTS,
    "pytorch_model.bin": b"a pickle",
    "modeling_mine.py": b"print('ran')",
    "README.md": b"# mine",
}


class Hub(ThreadingHTTPServer):
    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.files = dict(FILES)
        self.told: dict[str, bytes] = {}  # what the digests are of, where they are not the files'
        self.asked: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def siblings(self) -> list[dict[str, object]]:
        found = []
        for name, content in self.files.items():
            told = self.told.get(name, content)
            entry: dict[str, object] = {"rfilename": name, "size": len(told)}
            entry["blobId"] = hashlib.sha1(b"blob %d\0" % len(told) + told, usedforsecurity=False).hexdigest()
            if name.endswith(".safetensors"):
                sha = hashlib.sha256(told).hexdigest()
                entry["lfs"] = {"sha256": sha, "size": len(told), "pointerSize": 130}
            found.append(entry)
        return found


class Answer(BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        self.server.asked.append(path)
        body, status, headers = b'{"error": "Repository not found"}', 404, {"X-Error-Code": "RepoNotFound"}
        if path.startswith("/api/models/someone/network"):
            known = {"id": "someone/network", "sha": COMMIT, "siblings": self.server.siblings()}
            body, status, headers = json.dumps(known).encode(), 200, {"Content-Type": "application/json"}
        elif (name := path.rpartition("/")[2]) in self.server.files and f"resolve/{COMMIT}/" in path:
            body, status = self.server.files[name], 200
            headers = {"ETag": f'"{hashlib.sha256(body).hexdigest()}"', "X-Repo-Commit": COMMIT}
        self.send_response(status)
        for key, value in (headers | {"Content-Length": str(len(body))}).items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.setenv("no_proxy", "*")
    running = Hub()
    thread = threading.Thread(target=running.serve_forever, daemon=True)
    thread.start()
    yield running
    running.shutdown()
    running.server_close()
    thread.join()


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.is_file()}


def test_descriptions_and_safetensors_are_fetched_and_nothing_that_runs(hub: Hub, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    done = download_from_hub(
        "hf:someone/network", tmp_path / "net", endpoint=hub.url, progress=lambda *at: seen.append(at)
    )
    assert names(tmp_path / "net") == {"config.json", "preprocessor_config.json", "model.safetensors"}
    assert done.commit == COMMIT
    assert done.digests["model.safetensors"] == hashlib.sha256(WEIGHTS).hexdigest()
    assert seen[-1][0] == seen[-1][1] == sum(len(FILES[name]) for name in done.digests)
    hub.asked.clear()
    download_from_hub("hf:someone/network@main", tmp_path / "net", endpoint=hub.url)
    assert not [path for path in hub.asked if "resolve" in path]  # all was there, and right


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_a_file_that_is_not_what_the_hub_says_is_refused_and_not_kept(name: str, hub: Hub, tmp_path: Path) -> None:
    hub.told[name] = FILES[name][::-1]
    with pytest.raises(DownloadError, match=rf"{name} of someone/network is not what the hub says"):
        download_from_hub("hf:someone/network", tmp_path, endpoint=hub.url)
    assert not (tmp_path / name).exists()


def test_folders_of_pickles_and_names_of_nothing_are_refused(hub: Hub, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="does not tell of someone/else"):
        download_from_hub("hf:someone/else", tmp_path, endpoint=hub.url)
    with pytest.raises(InputError, match="expected hf:org/name"):
        download_from_hub("hf:network", tmp_path, endpoint=hub.url)
    del hub.files["model.safetensors"]
    with pytest.raises(UnsupportedError, match=r"no model.safetensors, only pytorch_model.bin"):
        download_from_hub("hf:someone/network", tmp_path, endpoint=hub.url)
    assert not [path for path in hub.asked if "resolve" in path]


def test_the_command_line_fetches_and_export_says_how(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    done = CliRunner().invoke(app, ["zoo", "download", "hf:someone/network", "--to", str(tmp_path / "net")])
    assert done.exit_code == 0, done.output
    assert (tmp_path / "net" / "model.safetensors").read_bytes() == WEIGHTS
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="segship zoo download hf:someone/network --to network"):
        load("someone/network")
