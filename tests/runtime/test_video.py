"""Videos: clips made here, with PyAV, are labelled frame by frame."""

from __future__ import annotations

import json
import threading
import time
import warnings
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import segship
from segship.core.errors import InputError
from segship.runtime import video_input
from segship.runtime.overlap import ahead
from segship.runtime.video import predict_video
from segship.runtime.video_input import Clip, Selection
from segship.runtime.video_names import is_video

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # the oldest typer names what the newest click will lose
    from segship.cli.app import app

av = pytest.importorskip("av", reason="segship[video] is not installed")

TICK = Fraction(1, 1000)
STEADY = tuple(range(0, 400, 40))


@pytest.fixture(scope="module")
def segmentor(exported: segship.Package) -> Iterator[segship.Segmentor]:
    with segship.Segmentor(exported) as opened:
        yield opened


def picture(number: int, size: tuple[int, int]) -> Any:
    coarse = np.random.default_rng(number).integers(0, 256, (4, 5, 3), np.uint8)
    return cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_CUBIC)


def make_clip(
    path: Path,
    *,
    times: tuple[int, ...] = STEADY,
    size: tuple[int, int] = (48, 64),
    pixels: str = "yuv420p",
    codec: str = "ffv1",
    rotation: int = 0,
    sound: bool = False,
) -> Path:
    """A clip whose frames come at ``times``, in milliseconds."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=25)
        stream.height, stream.width = size
        stream.pix_fmt = pixels
        stream.codec_context.time_base = stream.time_base = TICK
        if rotation:
            stream.set_display_rotation(rotation)
        voice = out.add_stream("aac", rate=8000) if sound else None
        for number, at in enumerate(times):
            frame = av.VideoFrame.from_ndarray(picture(number, size), format="rgb24")
            frame.pts, frame.time_base = at, TICK
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
        if voice is not None:
            for block in range(4):
                heard = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
                heard.sample_rate, heard.pts, heard.time_base = 8000, block * 1024, Fraction(1, 8000)
                out.mux(voice.encode(heard))
            out.mux(voice.encode(None))
    return path


def times_of(path: Path) -> list[float]:
    with av.open(str(path)) as opened:
        return [float(frame.pts * frame.time_base) for frame in opened.decode(video=0)]


def test_every_frame_gets_its_mask_at_its_own_time(segmentor: segship.Segmentor, tmp_path: Path) -> None:
    uneven = (0, 40, 45, 200, 1000)
    clip = make_clip(tmp_path / "clip.mkv", times=uneven, pixels="bgr0")
    targets = [tmp_path / name for name in ("masks", "overlay.mp4", "labels.mkv", "runs.jsonl")]
    assert predict_video(segmentor, clip, targets).frames == 5
    noted = [json.loads(line) for line in (tmp_path / "masks" / "index.jsonl").read_text().splitlines()]
    assert [entry["time"] for entry in noted] == [at / 1000 for at in uneven]
    assert times_of(tmp_path / "overlay.mp4") == [at / 1000 for at in uneven]
    expected = [segmentor(picture(number, (48, 64))) for number in range(5)]
    assert len({mask.tobytes() for mask in expected}) > 1
    with av.open(str(tmp_path / "labels.mkv")) as opened:
        grey = [frame.to_ndarray(format="gray") for frame in opened.decode(video=0)]
    runs = [json.loads(line) for line in (tmp_path / "runs.jsonl").read_text().splitlines()]
    for number, mask in enumerate(expected):
        stored = cv2.imread(str(tmp_path / "masks" / f"{number + 1:06d}.png"), cv2.IMREAD_UNCHANGED)
        assert stored.shape[:2] == mask.shape
        assert np.array_equal(grey[number], mask)
        assert {entry["class"] for entry in runs[number]["rle"]} == set(np.unique(mask).tolist())


@pytest.mark.parametrize(
    ("selection", "times"),
    [
        (Selection(every=3), [0, 120, 240, 360]),
        (Selection(begin=0.1, end=0.28), [120, 160, 200, 240]),
        (Selection(every=2, begin=0.2), [200, 280, 360]),
    ],
)
def test_a_part_of_the_frames_is_taken(selection: Selection, times: list[int], tmp_path: Path) -> None:
    clip = Clip(str(make_clip(tmp_path / "clip.mkv")), selection)
    assert [float(frame.time) for frame in clip.frames()] == [at / 1000 for at in times]
    clip.close()


def test_sound_is_kept_beside_the_frames(segmentor: segship.Segmentor, tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", codec="mpeg4", sound=True)
    predict_video(segmentor, clip, [tmp_path / "out.mp4"])
    with av.open(str(clip)) as before, av.open(str(tmp_path / "out.mp4")) as after:
        packets = [[bytes(packet) for packet in one.demux(audio=0) if packet.size] for one in (before, after)]
        assert packets[0] == packets[1] != []
    assert times_of(tmp_path / "out.mp4") == times_of(clip)
    part = Selection(begin=0.2)
    predict_video(segmentor, clip, [tmp_path / "part.mp4"], selection=part)
    with av.open(str(tmp_path / "part.mp4")) as opened:
        kept = [packet for packet in opened.demux(audio=0) if packet.size]
        assert 0 < len(kept) < len(packets[0])


def test_a_telephones_video_is_labelled_upright(segmentor: segship.Segmentor, tmp_path: Path) -> None:
    clip = Clip(str(make_clip(tmp_path / "clip.mp4", codec="mpeg4", rotation=90)))
    plain = Clip(str(make_clip(tmp_path / "plain.mp4", codec="mpeg4")))
    turned, flat = (next(iter(one.frames())).image for one in (clip, plain))
    assert turned.shape[:2] == (64, 48)
    assert np.array_equal(turned, np.rot90(flat))
    clip.close()
    plain.close()
    predict_video(segmentor, tmp_path / "clip.mp4", [tmp_path / "out.mp4"])
    with av.open(str(tmp_path / "out.mp4")) as opened:
        assert (opened.streams.video[0].height, opened.streams.video[0].width) == (64, 48)


@pytest.mark.parametrize(("size", "pixels"), [((45, 63), "yuv444p"), ((48, 64), "yuv420p10le"), ((1, 3), "bgr0")])
def test_odd_sizes_and_ten_bits(
    size: tuple[int, int], pixels: str, segmentor: segship.Segmentor, tmp_path: Path
) -> None:
    clip = make_clip(tmp_path / "clip.mkv", size=size, pixels=pixels, times=(0, 40))
    assert predict_video(segmentor, clip, [tmp_path / "masks", tmp_path / "out.mp4"]).frames == 2
    assert cv2.imread(str(tmp_path / "masks" / "000002.png")).shape[:2] == size
    assert len(times_of(tmp_path / "out.mp4")) == 2


def test_a_broken_frame_is_counted_and_the_rest_is_labelled(segmentor: segship.Segmentor, tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.avi", codec="png", pixels="rgb24")
    raw = bytearray(clip.read_bytes())
    third = [place for place in range(len(raw) - 8) if raw[place : place + 8] == b"\x89PNG\r\n\x1a\n"][2]
    data = raw.index(b"IDAT", third) + 4
    raw[data : data + 16] = bytes(16)
    clip.write_bytes(raw)
    result = predict_video(segmentor, clip, [tmp_path / "masks"])
    assert (result.frames, result.broken) == (len(STEADY) - 1, 1)


@pytest.mark.parametrize("content", [b"", b"no video at all" * 9])
def test_what_is_no_video_is_one_line(content: bytes, segmentor: segship.Segmentor, tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").write_bytes(content)
    with pytest.raises(InputError, match=r"clip\.mp4 cannot be opened as a video"):
        predict_video(segmentor, tmp_path / "clip.mp4", [tmp_path / "out.mp4"])
    assert not (tmp_path / "out.mp4").exists()


def test_a_file_that_was_cut_off_gives_the_frames_it_has(segmentor: segship.Segmentor, tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mkv", size=(96, 128), pixels="bgr0")
    clip.write_bytes(clip.read_bytes()[: clip.stat().st_size // 2])
    assert 1 < predict_video(segmentor, clip, [tmp_path / "masks"]).frames < len(STEADY)


def test_an_interruption_leaves_whole_files(segmentor: segship.Segmentor, tmp_path: Path) -> None:
    def interrupt(done: int) -> None:
        if done == 4:
            raise KeyboardInterrupt

    clip = make_clip(tmp_path / "clip.mkv")
    with pytest.raises(KeyboardInterrupt):
        predict_video(segmentor, clip, [tmp_path / "out.mp4", tmp_path / "runs.jsonl"], progress=interrupt)
    assert len(times_of(tmp_path / "out.mp4")) == 4
    assert len((tmp_path / "runs.jsonl").read_text().splitlines()) == 4
    assert [path.name for path in tmp_path.iterdir() if "partial" in path.name] == []


def test_a_lost_stream_is_opened_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = str(make_clip(tmp_path / "clip.mkv", times=(0, 40, 80)))
    tries: list[str] = []
    original = av.open

    def lose(name: str, **options: Any) -> Any:
        tries.append(name)
        if len(tries) in {2, 5} or len(tries) > 5:
            raise OSError(111, "Connection refused")
        return original(clip, **{key: value for key, value in options.items() if key == "format"})

    monkeypatch.setattr(av, "open", lose)
    monkeypatch.setattr(video_input, "_PAUSE", 0.001)
    stream = Clip("rtsp://camera/1")
    times = [frame.time for frame in stream.frames()]
    assert len(times) == 9
    assert times == sorted(set(times))
    assert stream.reconnected == 2
    stream.close()


def test_a_stream_of_images_gives_their_masks(segmentor: segship.Segmentor, tmp_path: Path) -> None:
    images = [picture(number, (48, 64)) for number in range(6)]
    expected = [segmentor(image) for image in images]
    assert all(np.array_equal(*pair) for pair in zip(segmentor.stream(iter(images)), expected, strict=True))
    masks = list(segmentor.stream(make_clip(tmp_path / "clip.mkv", pixels="bgr0", times=tuple(range(0, 240, 40)))))
    assert all(np.array_equal(*pair) for pair in zip(masks, expected, strict=True))


def test_a_stream_stops_reading_when_nobody_wants_masks(segmentor: segship.Segmentor) -> None:
    taken = []

    def endless() -> Iterator[Any]:
        for number in range(10_000):
            taken.append(number)
            yield picture(number, (8, 8))

    masks = segmentor.stream(endless())
    next(masks)
    masks.close()  # type: ignore[attr-defined]
    assert len(taken) < 12
    before = len(taken)
    time.sleep(0.2)
    assert len(taken) == before


def test_work_ahead_is_bounded_and_errors_come_in_their_place() -> None:
    made: list[int] = []

    def numbers() -> Iterator[int]:
        for number in range(5):
            made.append(number)
            yield number
        raise InputError("the sixth")

    found = ahead(numbers(), 1)
    assert next(found) == 0
    time.sleep(0.2)
    assert len(made) <= 3
    with pytest.raises(InputError, match="the sixth"):
        list(found)
    assert not any(thread.name == "segship-ahead" and thread.is_alive() for thread in threading.enumerate())


def test_names_of_videos() -> None:
    assert all(map(is_video, ["a.MP4", "camera:0", "rtsp://host/1", "x/y.mkv"]))
    assert not any(map(is_video, ["a.png", "images", "scene.tif", "a.gif"]))


@pytest.mark.parametrize("values", [{"every": 0}, {"begin": -1}, {"begin": 2, "end": 1}])
def test_impossible_parts_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="every"):
        Selection(**values)


def test_the_command_takes_videos_alone_and_their_options_with_them_alone(
    exported: segship.Package, street: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(*arguments: object) -> None:
        app(
            ["predict", str(exported.path), *map(str, arguments), "--to", str(tmp_path / "out.mp4")],
            standalone_mode=False,
        )

    clip = make_clip(tmp_path / "clip.mkv")
    run(clip, "--every", 2, "--from", 0.1, "--until", 0.3, "--masks", tmp_path / "masks", "--tta", "flip")
    assert "3 frames" in capsys.readouterr().out
    assert len(times_of(tmp_path / "out.mp4")) == 3
    assert (tmp_path / "masks" / "000003.png").is_file()
    with pytest.raises(InputError, match="--every: for a video"):
        run(street, "--every", 2)
    with pytest.raises(InputError, match="one at a time"):
        run(clip, street)
    with pytest.raises(InputError, match="--scores"):
        run(clip, "--scores")
    with pytest.raises(InputError, match=r"clip\.mkv"):
        app(["predict", str(exported.path), str(clip), "--to", str(clip)], standalone_mode=False)
