"""What users get wrong, and what attackers send: one line, status 2, nothing written."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import struct
import subprocess
import zlib
from pathlib import Path

import pytest
import torch

from support.commands import refused, segship
from support.trained import CONFIG

HUGE = 20_000


class Payload:
    """A pickle of it creates a file when it is loaded carelessly."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return os.mkdir, (str(self.path),)


@pytest.fixture
def copied(package: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(package, tmp_path / "package"))


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("model = dict(", "line"),
        ("import subprocess; y = subprocess.run('true')", "line 2"),
        ("x = open('/etc/passwd').read()", "line 2"),
        ("x = __import__('os').system('true')", "line 2"),
        ("x = [0] * 10**12", "more values than any real config"),
        ("_base_ = './nowhere.py'", "nowhere.py"),
    ],
)
def test_a_config_that_is_not_plain_data_is_refused(
    trained: tuple[Path, Path], tmp_path: Path, line: str, expected: str
) -> None:
    config = tmp_path / "config.py"
    config.write_text(f"x = 1\n{line}\n")
    message = refused(segship("export", config, trained[1], tmp_path / "out"))
    assert "config.py" in message
    assert expected in message
    assert not (tmp_path / "out").exists()


def test_every_mistake_of_a_config_is_told_at_once(trained: tuple[Path, Path], tmp_path: Path) -> None:
    config = tmp_path / "config.py"
    text = CONFIG.format(test_cfg="mode='whole'")
    config.write_text(text.replace("'CGNet'", "'CGNett'").replace("num_convs=0", "num_conv=0"))
    message = refused(segship("export", config, trained[1], tmp_path / "out"))
    assert "Did you mean 'CGNet'" in message
    assert "num_conv" in message


def test_a_pickle_that_would_run_code_runs_nothing(trained: tuple[Path, Path], tmp_path: Path) -> None:
    checkpoint = tmp_path / "hostile.pth"
    torch.save({"state_dict": {}, "meta": Payload(tmp_path / "ran")}, checkpoint)
    message = refused(segship("export", trained[0], checkpoint, tmp_path / "out"))
    assert "mkdir" in message
    assert "--trust" in message
    assert not (tmp_path / "ran").exists()
    assert not (tmp_path / "out").exists()


def test_a_bare_pickle_runs_nothing_either(trained: tuple[Path, Path], tmp_path: Path) -> None:
    checkpoint = tmp_path / "hostile.pth"
    checkpoint.write_bytes(pickle.dumps(Payload(tmp_path / "ran")))
    refused(segship("export", trained[0], checkpoint, tmp_path / "out"))
    assert not (tmp_path / "ran").exists()


def test_trust_runs_it_and_warns(trained: tuple[Path, Path], tmp_path: Path) -> None:
    checkpoint = tmp_path / "own.pth"
    content = torch.load(trained[1], weights_only=True)
    torch.save(content | {"hook": Payload(tmp_path / "ran")}, checkpoint)
    done = segship("export", trained[0], checkpoint, tmp_path / "out", "--trust")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "ran").exists()
    assert "warning" in done.stderr.lower()


def test_a_checkpoint_of_another_network_lists_the_keys(trained: tuple[Path, Path], tmp_path: Path) -> None:
    checkpoint = tmp_path / "other.pth"
    torch.save({"state_dict": {"backbone.conv1.weight": torch.zeros(3)}}, checkpoint)
    message = refused(segship("export", trained[0], checkpoint, tmp_path / "out"))
    assert "missing" in message
    assert "backbone.conv1.weight" in message
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.99])
def test_a_truncated_checkpoint_is_refused(trained: tuple[Path, Path], tmp_path: Path, share: float) -> None:
    data = trained[1].read_bytes()
    checkpoint = tmp_path / "cut.pth"
    checkpoint.write_bytes(data[: int(len(data) * share)])
    message = refused(segship("export", trained[0], checkpoint, tmp_path / "out"))
    assert "cut.pth" in message
    assert not (tmp_path / "out").exists()


def test_a_flipped_byte_is_found(copied: Path, street: Path, tmp_path: Path) -> None:
    model = copied / "model.onnx"
    data = bytearray(model.read_bytes())
    data[len(data) // 2] ^= 1
    model.write_bytes(bytes(data))
    message = refused(segship("predict", copied, street, "--to", tmp_path / "masks", torch=False))
    assert "was changed" in message
    assert not (tmp_path / "masks").exists()


def test_a_newer_schema_asks_for_an_upgrade(copied: Path, street: Path, tmp_path: Path) -> None:
    manifest = json.loads((copied / "manifest.json").read_text())
    (copied / "manifest.json").write_text(json.dumps(manifest | {"schema_version": 99}))
    assert "pip install -U segship" in refused(segship("predict", copied, street, "--to", tmp_path / "masks"))


def test_a_missing_file_is_named(copied: Path, street: Path, tmp_path: Path) -> None:
    (copied / "model.onnx").unlink()
    assert "model.onnx is missing" in refused(segship("predict", copied, street, "--to", tmp_path / "masks"))


def png(width: int, height: int) -> bytes:
    """A PNG of zeros: its header tells its size, its body stays small."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    packer = zlib.compressobj(9)
    rows = b"".join(packer.compress(bytes(1 + width)) for _ in range(height)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def bad_images(folder: Path) -> dict[str, str]:
    folder.mkdir()
    (folder / "text.png").write_text("hello")
    (folder / "huge.png").write_bytes(png(HUGE, HUGE))
    (folder / "cut.png").write_bytes(png(64, 64)[:60])
    return {"text.png": "not an image", "huge.png": f"{HUGE}", "cut.png": "cut.png"}


@pytest.mark.parametrize("name", ["text.png", "huge.png", "cut.png"])
def test_a_bad_image_is_refused_by_its_header(package: Path, tmp_path: Path, name: str) -> None:
    expected = bad_images(tmp_path / "bad")[name]
    # By default a huge picture is read by windows.
    words = ("predict", package, tmp_path / "bad" / name, "--to", tmp_path / "masks", "--max-pixels", 10_000_000)
    message = refused(segship(*words, torch=False))
    assert name in message
    assert expected in message
    assert not (tmp_path / "masks").exists()


def test_an_empty_folder_and_a_missing_file_are_named(package: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "empty" in refused(segship("predict", package, tmp_path / "empty", "--to", tmp_path / "masks", torch=False))
    nowhere = tmp_path / "nowhere.png"
    assert "nowhere.png" in refused(segship("predict", package, nowhere, "--to", tmp_path / "masks", torch=False))
    assert not (tmp_path / "masks").exists()


@pytest.fixture
def full_disk(tmp_path: Path) -> Path:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = shutil.which("mount")
    if mount is None or subprocess.run([mount, "-t", "tmpfs", "-o", "size=64k", "none", disk], check=False).returncode:
        pytest.skip("mounting a small tmpfs needs root")
    yield disk
    subprocess.run([shutil.which("umount") or "umount", disk], check=True)


def test_a_full_disk_leaves_nothing_and_keeps_the_older_package(
    trained: tuple[Path, Path], package: Path, street: Path, full_disk: Path
) -> None:
    older = full_disk / "package"
    older.mkdir()
    shutil.copy(package / "manifest.json", older)
    message = refused(segship("export", *trained, older))
    assert "No space left" in message
    assert [path.name for path in full_disk.iterdir()] == ["package"]
    assert (older / "manifest.json").read_bytes() == (package / "manifest.json").read_bytes()
    (full_disk / "filler").write_bytes(bytes(48 * 1024 - (older / "manifest.json").stat().st_size))
    assert "cannot write" in refused(segship("predict", package, street, "--to", full_disk / "masks", "--scores"))
    assert not [path for path in (full_disk / "masks").glob("*") if path.name.startswith(".")]


def test_a_folder_of_something_else_is_not_replaced(trained: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "dear.txt").write_text("dear")
    assert "holds something else" in refused(segship("export", *trained, tmp_path / "photos"))
    assert (tmp_path / "photos" / "dear.txt").read_text() == "dear"
