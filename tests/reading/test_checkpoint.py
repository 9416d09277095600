from __future__ import annotations

import collections
import io
import json
import os
import pickle
import pickletools
import struct
import subprocess
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from segship.core.errors import CheckpointError, SegshipWarning, UnsafeFileError
from segship.core.files import digest
from segship.reading.checkpoint import read_checkpoint


def weights() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return {
        "backbone.conv.weight": torch.randn(4, 3, 3, 3, generator=generator),
        "backbone.bn.running_mean": torch.randn(4, generator=generator),
        "backbone.bn.num_batches_tracked": torch.tensor(7),
        "decode_head.conv_seg.bias": torch.randn(2, generator=generator),
        "decode_head.half": torch.randn(5, generator=generator).half(),
        "decode_head.brain": torch.randn(5, generator=generator).bfloat16(),
        "decode_head.flags": torch.tensor([True, False, True]),
        "decode_head.empty": torch.zeros(0, 3),
    }


def assert_same(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    assert list(found) == list(expected)
    for key, tensor in expected.items():
        assert found[key].dtype == tensor.dtype
        assert torch.equal(found[key], tensor), key


def save(folder: Path, values: Any, **options: Any) -> Path:
    path = folder / "checkpoint.pth"
    torch.save(values, path, **options)
    return path


class Attack:
    """Unpickled as usual, it makes a file."""

    def __init__(self, command: Any, *arguments: Any) -> None:
        self.call = command, arguments

    def __reduce__(self) -> Any:
        return self.call


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("nest", ["state_dict", "model", None])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_weights_are_found_and_read_exactly(tmp_path: Path, nest: str | None, prefix: str, *, zipped: bool) -> None:
    state = {prefix + key: value for key, value in weights().items()}
    values = state if nest is None else {"meta": {"CLASSES": ("a", "b")}, nest: state, "optimizer": {"lr": 0.1}}
    path = save(tmp_path, values, _use_new_zipfile_serialization=zipped)
    checkpoint = read_checkpoint(path)
    assert_same(checkpoint.state, weights())
    assert checkpoint.meta == ({} if nest is None else {"CLASSES": ("a", "b")})
    assert checkpoint.digest == digest(path)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_every_pickle_protocol_is_read(tmp_path: Path, protocol: int) -> None:
    path = save(tmp_path, {"state_dict": weights()}, pickle_protocol=protocol)
    assert_same(read_checkpoint(path).state, weights())


@pytest.mark.parametrize("zipped", [True, False])
def test_views_shared_storages_and_parameters_are_read(tmp_path: Path, *, zipped: bool) -> None:
    base = torch.arange(24.0)
    module = nn.Linear(2, 3)
    state = {"a": base[2:8].reshape(2, 3), "b": base.reshape(4, 6).t(), "c": base, **module.state_dict(keep_vars=True)}
    path = save(tmp_path, state, _use_new_zipfile_serialization=zipped)
    assert_same(read_checkpoint(path).state, {key: value.detach() for key, value in state.items()})


def training_file() -> dict[str, Any]:
    """What a training run leaves: everything that weights_only refuses, and more."""
    layer = nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(layer.parameters())
    layer(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    return {
        "meta": {
            "dataset_meta": {"classes": ("sky", "road"), "palette": [[1, 2, 3], [4, 5, 6]]},
            "PALETTE": np.array([[1, 2, 3], [4, 5, 6]]),
            "epoch": np.int64(3),
            "when": __import__("datetime").datetime(2024, 1, 2),
            "where": Path("/somewhere"),
            "names": collections.defaultdict(list, {"a": [1]}),
        },
        "state_dict": collections.OrderedDict(weights()),
        "message_hub": {"loss": np.arange(9.0), "kind": getattr, "at": np.float32(2.5), "set": {1, 2}},
        "optimizer": optimizer.state_dict(),
    }


@pytest.mark.parametrize("zipped", [True, False])
def test_training_leftovers_are_passed_over_and_the_meta_data_kept(tmp_path: Path, *, zipped: bool) -> None:
    path = save(tmp_path, training_file(), _use_new_zipfile_serialization=zipped)
    checkpoint = read_checkpoint(path)
    assert_same(checkpoint.state, weights())
    assert checkpoint.meta["dataset_meta"] == {"classes": ("sky", "road"), "palette": [[1, 2, 3], [4, 5, 6]]}
    assert checkpoint.meta["PALETTE"] == [[1, 2, 3], [4, 5, 6]]
    assert checkpoint.meta["epoch"] == 3
    assert checkpoint.meta["when"] is None


def test_averaged_weights_beside_the_plain_ones_are_left_out(tmp_path: Path) -> None:
    state = weights()
    averages = {"ema_" + key.replace(".", "_"): value for key, value in state.items()}
    path = save(tmp_path, {"state_dict": {**state, **averages}, "ema_state_dict": {"module.x": torch.ones(1)}})
    assert_same(read_checkpoint(path).state, weights())


def test_tensors_of_an_accelerator_are_read_on_the_cpu(tmp_path: Path) -> None:
    path = save(tmp_path, weights(), _use_new_zipfile_serialization=False)
    data = path.read_bytes()
    path.write_bytes(data.replace(b"X\x03\x00\x00\x00cpu", b"X\x06\x00\x00\x00cuda:0"))
    assert path.read_bytes() != data
    assert_same(read_checkpoint(path).state, weights())


def test_real_training_checkpoint_is_read(shared: Path) -> None:
    path = shared / "weights" / "ddrnet_camvid" / "iter_2400.pth"
    with pytest.raises(pickle.UnpicklingError):
        torch.load(path, weights_only=True)
    checkpoint = read_checkpoint(path)
    assert len(checkpoint.state) == 344
    assert checkpoint.meta["dataset_meta"]["classes"][:2] == ("sky", "building")


@pytest.mark.parametrize("name", ["model_800.pth", "cgnet_camvid_mmseg_keys.pth"])
def test_real_checkpoints_are_read_as_torch_reads_them(shared: Path, name: str) -> None:
    path = shared / "weights" / "cgnet_camvid" / name
    expected = torch.load(path, weights_only=True, map_location="cpu")
    expected = expected.get("state_dict", expected.get("model", expected))
    found = read_checkpoint(path).state
    assert len(found) == len(expected)
    assert all(torch.equal(found[key.removeprefix("module.")], tensor) for key, tensor in expected.items())


# ---- safetensors


def safetensors(tensors: dict[str, torch.Tensor], **changes: Any) -> bytes:
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    data = b""
    for key, tensor in tensors.items():
        raw = tensor.contiguous().numpy().tobytes()
        shape = list(tensor.shape)
        header[key] = {"dtype": "F32", "shape": shape, "data_offsets": [len(data), len(data) + len(raw)]} | changes
        data += raw
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def test_safetensors_are_read(tmp_path: Path) -> None:
    state = {"a": torch.randn(2, 3), "b.c": torch.randn(4), "d": torch.tensor(2.0)}
    (tmp_path / "m.safetensors").write_bytes(safetensors(state))
    assert_same(read_checkpoint(tmp_path / "m.safetensors").state, state)


@pytest.mark.parametrize(
    "data",
    [
        struct.pack("<Q", 2**60) + b"{}",
        struct.pack("<Q", 2) + b"[]",
        struct.pack("<Q", 9) + b"{" * 9,
        struct.pack("<Q", 100_000) + b'{"a":' * 20_000,
        safetensors({"a": torch.ones(4)})[:-1],
        safetensors({"a": torch.ones(4)}, data_offsets=[0, 2**60]),
        safetensors({"a": torch.ones(4)}, data_offsets=[-8, 8]),
        safetensors({"a": torch.ones(4)}, shape=[2**40, 2**40]),
        safetensors({"a": torch.ones(4)}, dtype="F4"),
        safetensors({"a": torch.ones(4)}, shape=None),
    ],
)
def test_damaged_safetensors_are_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "m.safetensors").write_bytes(data)
    with pytest.raises(CheckpointError):
        read_checkpoint(tmp_path / "m.safetensors")


# ---- files that would run code


def write_pickle(path: Path, data: bytes, *, zipped: bool) -> None:
    if not zipped:
        path.write_bytes(data)
        return
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("archive/data.pkl", data)
        file.writestr("archive/version", b"3")


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("protocol", [0, 1, 2, 4])
@pytest.mark.parametrize(
    ("command", "name"),
    [
        (os.system, f"{os.name}.system"),
        (subprocess.check_call, "subprocess.check_call"),
        (eval, "builtins.eval"),
        (exec, "builtins.exec"),
        (__import__, "__import__"),
        (torch.load, "torch.serialization.load"),
        (np.load, "numpy.load|numpy.lib"),
        (pickle.loads, "pickle.loads"),
    ],
)
def test_file_that_would_run_code_is_refused_and_runs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Any, name: str, protocol: int, *, zipped: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    argument: Any = "__import__('pathlib').Path('ran').touch()"
    if command in (os.system, subprocess.check_call):
        argument = "touch ran" if command is os.system else ["touch", "ran"]
    data = pickle.dumps({"state_dict": {"a": Attack(command, argument)}}, protocol)
    write_pickle(tmp_path / "evil.pth", data, zipped=zipped)
    with pytest.raises(UnsafeFileError) as caught:
        read_checkpoint(tmp_path / "evil.pth")
    assert not (tmp_path / "ran").exists()
    assert "\n" not in str(caught.value)
    assert any(part in str(caught.value) for part in name.split("|"))
    assert "--trust" in str(caught.value)


@pytest.mark.parametrize("zipped", [True, False])
def test_trusted_file_runs_and_warns(tmp_path: Path, *, zipped: bool) -> None:
    state = {"a": torch.ones(2), "evil": Attack(Path.touch, tmp_path / "ran"), "os": Attack(os.getcwd)}
    path = save(tmp_path, {"state_dict": state}, _use_new_zipfile_serialization=zipped)
    with pytest.raises(UnsafeFileError, match="getcwd"):
        read_checkpoint(path)
    assert not (tmp_path / "ran").exists()
    with pytest.warns(SegshipWarning, match="runs code"):
        checkpoint = read_checkpoint(path, trust=True)
    assert (tmp_path / "ran").exists()
    assert_same(checkpoint.state, {"a": torch.ones(2)})


def test_trust_changes_nothing_for_a_harmless_file(tmp_path: Path) -> None:
    path = save(tmp_path, training_file())
    assert_same(read_checkpoint(path, trust=True).state, weights())


def test_trusted_file_that_cannot_be_loaded_is_an_error(tmp_path: Path) -> None:
    write_pickle(tmp_path / "a.pth", b"cnowhere_at_all\nThing\n.", zipped=False)
    with pytest.warns(SegshipWarning), pytest.raises(CheckpointError, match="even trusting it"):
        read_checkpoint(tmp_path / "a.pth", trust=True)


def test_stand_ins_cannot_be_changed_by_a_file(tmp_path: Path) -> None:
    """Setting attributes of what a name resolves to fails, or is forgotten with the file."""
    for name in ("torch._utils\n_rebuild_tensor_v2", "collections\nOrderedDict", "torch\nFloatStorage"):
        write_pickle(
            tmp_path / "a.pth", b"\x80\x02c" + name.encode() + b"\n(N}X\x01\x00\x00\x00aK\x01s\x86b.", zipped=True
        )
        with pytest.raises(CheckpointError):
            read_checkpoint(tmp_path / "a.pth")
    path = save(tmp_path, training_file())
    assert_same(read_checkpoint(path).state, weights())


# ---- damaged files


@pytest.mark.parametrize("zipped", [True, False])
def test_file_cut_off_anywhere_is_refused_in_one_line(tmp_path: Path, *, zipped: bool) -> None:
    path = save(tmp_path, {"state_dict": weights()}, _use_new_zipfile_serialization=zipped)
    data = path.read_bytes()
    for length in range(1, len(data), max(1, len(data) // 60)):
        path.write_bytes(data[:length])
        with pytest.raises(CheckpointError) as caught:
            read_checkpoint(path)
        assert "\n" not in str(caught.value)
        assert str(path) in str(caught.value)


@pytest.mark.parametrize("zipped", [True, False])
def test_flipped_bytes_never_raise_anything_but_our_errors(tmp_path: Path, *, zipped: bool) -> None:
    path = save(tmp_path, {"state_dict": weights()}, _use_new_zipfile_serialization=zipped)
    data = path.read_bytes()
    random = np.random.default_rng(0)
    start = time.process_time()
    for position in random.integers(0, len(data), 250):
        changed = bytearray(data)
        changed[position] ^= int(random.integers(1, 256))
        path.write_bytes(changed)
        try:
            read_checkpoint(path)
        except CheckpointError as error:
            assert "\n" not in str(error)  # noqa: PT017
    assert time.process_time() - start < 60


def test_flipped_weight_in_a_zip_is_noticed(tmp_path: Path) -> None:
    path = save(tmp_path, {"a": torch.full((64,), 3.0)})
    data = path.read_bytes()
    place = data.index(np.full(64, 3.0, "float32").tobytes())
    path.write_bytes(data[: place + 5] + bytes([data[place + 5] ^ 1]) + data[place + 6 :])
    with pytest.raises(CheckpointError, match="damaged at data/0"):
        read_checkpoint(path)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "is empty"),
        (b"just some text\n", "is not a checkpoint: it begins with"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"),
        (b"<!DOCTYPE html><html>", "web page"),
        (b"\x89PNG\r\n\x1a\n" + b"0" * 99, "is not a checkpoint"),
        (b"(this is a note)", "cut off or damaged"),
        (b"config = 1\n", "is not a checkpoint: it begins with"),
        (b"\x80\x02K\x01.", "is a pickle but no checkpoint"),
        (b"PK\x03\x04" + b"0" * 99, "damaged or cut off"),
        (b"\xff\xff\xff\xff\xff\xff\xff\x7f{", "no safetensors file"),
    ],
)
def test_other_files_are_refused_with_what_they_are(tmp_path: Path, data: bytes, words: str) -> None:
    (tmp_path / "a.pth").write_bytes(data)
    with pytest.raises(CheckpointError, match=words) as caught:
        read_checkpoint(tmp_path / "a.pth")
    assert "\n" not in str(caught.value)


def test_missing_file_directory_and_pipe_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.pth")
    for name in ("nothing.pth", ".", "pipe.pth"):
        with pytest.raises(CheckpointError, match="does not exist or is not a file"):
            read_checkpoint(tmp_path / name)


def test_zip_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "bomb.pth"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("archive/data.pkl", b"\0" * 50_000_000)
    with pytest.raises(CheckpointError, match="compressed zip file"):
        read_checkpoint(path)


def test_zip_whose_entries_overlap_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "overlap.pth"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("archive/data.pkl", b"\0" * 1000)
        first = file.infolist()[0]
        for number in range(50):
            twin = zipfile.ZipInfo(f"archive/data/{number}")
            twin.file_size = twin.compress_size = first.file_size
            twin.CRC, twin.header_offset = first.CRC, first.header_offset
            file.filelist.append(twin)
    with pytest.raises(CheckpointError, match="more than its own size"):
        read_checkpoint(path)


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["archive/x"], "no data.pkl"),
        (["a/data.pkl", "a/constants.pkl"], "TorchScript"),
        ([], "damaged or cut off|no data"),
    ],
)
def test_other_zip_files_are_refused(tmp_path: Path, names: list[str], words: str) -> None:
    with zipfile.ZipFile(tmp_path / "a.pth", "w") as file:
        for name in names:
            file.writestr(name, b"\x80\x02}.")
    with pytest.raises(CheckpointError, match=words if names else "."):
        read_checkpoint(tmp_path / "a.pth")


@pytest.mark.parametrize("values", [[1, 2], {"a": 1}, {}, {"state_dict": {}}, None, "text"])
def test_files_without_weights_are_refused(tmp_path: Path, values: Any) -> None:
    with pytest.raises(CheckpointError, match=r"holds no weights|expected a dictionary of weights"):
        read_checkpoint(save(tmp_path, values))


def program(*parts: bytes) -> bytes:
    return b"\x80\x02" + b"".join(parts) + b"."


STORAGE = b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpu%stQ"


@pytest.mark.parametrize(
    "data",
    [
        program(b"N" + b"r\xff\xff\xff\x7f"),  # a memo entry of number 2**31
        program(b"\x8d" + struct.pack("<Q", 2**62) + b"a"),  # a text of 2**62 bytes
        program(b"\x8b" + struct.pack("<i", 2**31 - 1)),  # a number of 2**31 bytes
        program(b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(J\xff\xff\xff\x7ftK\x01tR"),
        program(b"c_codecs\nencode\n(X\x01\x00\x00\x00aX\x05\x00\x00\x00rot13tR"),
        program(b"}" + b")" + b"2\x86" * 100 + b"K\x01s"),  # a key that takes 2**100 steps to hash
        program(b"c__builtin__\nset\n(]" + b")" + b"2\x86" * 100 + b"atR"),
        program(b"\x8f(" + b")" + b"2\x86" * 100 + b"\x90"),
        program(b"ctorch._utils\n_rebuild_tensor_v2\n(" + STORAGE % b"J\xff\xff\xff\x7f" + b"K\x00(K\x01tK\x01ttR"),
        program(b"ctorch._utils\n_rebuild_tensor_v2\n(" + STORAGE % b"K\x01" + b"K\x00(K\x09t(K\x01ttR"),
        program(b"ctorch._utils\n_rebuild_tensor_v2\n(" + STORAGE % b"K\x04" + b"K\x00(J\xff\xff\xff\x7ft(K\x00ttR"),
        program(b"(X\x06\x00\x00\x00moduleK\x01K\x01K\x01K\x01tQ"),
        program(b"K\x01Q"),
    ],
)
@pytest.mark.parametrize("zipped", [True, False])
def test_pickles_made_to_exhaust_the_machine_are_refused_quickly(tmp_path: Path, data: bytes, *, zipped: bool) -> None:
    write_pickle(tmp_path / "a.pth", data, zipped=zipped)
    start = time.process_time()
    with pytest.raises(CheckpointError):
        read_checkpoint(tmp_path / "a.pth")
    assert time.process_time() - start < 5


def test_tensor_larger_than_the_file_is_refused_before_it_is_made(tmp_path: Path) -> None:
    path = save(tmp_path, {"a": torch.ones(4)})
    with zipfile.ZipFile(path) as file:
        name = file.namelist()[0].partition("/")[0]
        data = file.read(f"{name}/data.pkl")
    huge = data.replace(b"K\x04tq", b"J\xff\xff\xff\x7ftq", 1)
    assert huge != data
    pickletools.dis(huge, out=io.StringIO())
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(f"{name}/data.pkl", huge)
        file.writestr(f"{name}/data/0", b"\0" * 16)
    with pytest.raises(CheckpointError, match="but the file is smaller"):
        read_checkpoint(path)
