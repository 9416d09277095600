"""The figures of docs/tables/scenes.md: rasters of any size by windows.

::

    python docs/tables/scenes_table.py [large] [equal] [kills] [throughput] [video] [seams] [--folder FOLDER]

Without a name all parts are measured: about an hour on two busy cores, 10 GB of disk and 6 GB of memory, most of these
for ``large`` and for the in-memory side of ``equal``. ``throughput`` needs ``segship-native``. Rasters are made by a
formula; ``large`` keeps its own in FOLDER. Results are merged into docs/tables/scenes.json.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

import numpy as np

import segship
from segship.core.files import DEMO
from segship.runtime.predict import ResultForm, predict_files
from segship.runtime.scene_files import SceneForm
from segship.runtime.scene_plan import SceneOptions
from segship.vision import native

ROOT = Path(__file__).parents[2]
sys.path += [str(ROOT / "dev"), str(ROOT / "benchmarks")]

from scene_parts import write_network, write_raster
from video import measure as measure_clip

if TYPE_CHECKING:
    from collections.abc import Callable

RESULTS, PAGE = (Path(__file__).parent / name for name in ("scenes.json", "scenes.md"))
BEGIN, END = "<!-- scenes: begin -->", "<!-- scenes: end -->"
_SLIDE = {"crop": [1024, 1024], "stride": [768, 768]}
_LARGE, _EQUAL, _KILLED, _TIMED = (30_000, 30_000), (9_000, 12_000), (9_000, 12_000), (6_000, 6_000)
_TILE = 6_000  # sides of what the largest is made of, again and again
_KILLS, _ROUNDS = 10, 3
_FRAME, _FRAMES = (720, 1280), 150


def make_package(folder: Path, channels: int = 8) -> Path:
    """A package of a small network of four bands."""
    package = folder / f"package-{channels}"
    if not (package / "manifest.json").is_file():
        segship.export(write_network(folder / f"network-{channels}", channels=channels, slide=_SLIDE), package)
    return package


def run(command: list[str]) -> tuple[float, float]:
    """Seconds and most MiB of memory of a process.

    The kernel's own account of a child (``ru_maxrss``) begins with what its parent held, so that the process is asked.
    """
    begin, most = time.monotonic(), 0.0
    process = subprocess.Popen(command, cwd=ROOT)
    status = Path(f"/proc/{process.pid}/status")
    while process.poll() is None:
        told = [line.split()[1] for line in status.read_text().splitlines() if line.startswith("VmHWM")]
        most = max([most, *(int(kibibytes) / 1024 for kibibytes in told)])
        time.sleep(0.2)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed")
    return time.monotonic() - begin, most


def predicting(package: Path, path: Path, to: Path) -> list[str]:
    """The command line."""
    words = [package, path, "--to", to, "--resume"]
    return [sys.executable, "-m", "segship", "-q", "predict", *map(str, words)]


def measure_large(folder: Path) -> dict[str, Any]:
    """From COG to COG, with the memory of the process and of one that runs one window."""
    from rasterio import shutil

    package, path = make_package(folder), folder / "large.tif"
    if not path.is_file():
        listed = _repeated(write_raster(folder / "tile.tif", (_TILE, _TILE)), _LARGE)
        how = {"COMPRESS": "DEFLATE", "LEVEL": "1", "OVERVIEWS": "NONE", "NUM_THREADS": "ALL_CPUS"}
        shutil.copy(str(listed), str(path), driver="COG", **how)
    one = write_raster(folder / "one.tif", (1024, 1024))
    _, alone = run(predicting(package, one, folder / "one"))
    seconds, memory = run(predicting(package, path, folder / "large"))
    told = json.loads((folder / "large" / "index.jsonl").read_text().splitlines()[-1])
    return {
        "size": _LARGE,
        "gigabytes": path.stat().st_size / 1e9,
        "seconds": seconds,
        "mebibytes": memory,
        "mebibytes_of_one_window": alone,
        "windows": told["windows_run"],
        "plan": told["plan"],
        "classes": told["classes"],
    }


def _repeated(tile: Path, size: tuple[int, int]) -> Path:
    """A VRT of one raster of four bands again and again, side by side."""
    import rasterio

    with rasterio.open(tile) as data:
        place, system = ", ".join(map(str, data.transform.to_gdal())), data.crs.to_wkt()
    lines = [f'<VRTDataset rasterXSize="{size[1]}" rasterYSize="{size[0]}"><SRS>{escape(system)}</SRS>']
    lines.append(f"<GeoTransform>{place}</GeoTransform>")
    for band in range(1, 5):
        lines.append(f'<VRTRasterBand dataType="Byte" band="{band}">')
        lines += [
            f'<SimpleSource><SourceFilename relativeToVRT="1">{tile.name}</SourceFilename>'
            f'<SourceBand>{band}</SourceBand><SrcRect xOff="0" yOff="0" xSize="{_TILE}" ySize="{_TILE}"/>'
            f'<DstRect xOff="{left}" yOff="{top}" xSize="{_TILE}" ySize="{_TILE}"/></SimpleSource>'
            for top in range(0, size[0], _TILE)
            for left in range(0, size[1], _TILE)
        ]
        lines.append("</VRTRasterBand>")
    path = tile.with_name("listed.vrt")
    path.write_text("\n".join([*lines, "</VRTDataset>"]), encoding="utf-8")
    return path


def measure_equal(folder: Path) -> dict[str, Any]:
    """How many labels differ from those of the whole array in memory."""
    import rasterio

    package, path = make_package(folder), write_raster(folder / "equal.tif", _EQUAL)
    with segship.Segmentor(package, max_pixels=2**31) as segmentor:
        with segmentor.scene(path) as scene:
            found = np.asarray(scene)
        with rasterio.open(path) as data:
            image = np.ascontiguousarray(np.moveaxis(data.read(), 0, 2))
        expected = segmentor(image)
    classes = len(np.unique(expected))
    return {"size": _EQUAL, "pixels": found.size, "differ": int((found != expected).sum()), "classes": classes}


def measure_kills(folder: Path) -> dict[str, Any]:
    """Whether a run that is killed at random and goes on ends with the bytes of one that is not."""
    package, path = make_package(folder, 64), write_raster(folder / "killed.tif", _KILLED)
    seconds, _ = run(predicting(package, path, folder / "whole"))
    draw, kills, blocks = random.Random(20), 0, []  # noqa: S311
    done = folder / "out" / ".killed.scene" / "done"
    while kills < _KILLS:
        begun = _size(done)
        process = subprocess.Popen(predicting(package, path, folder / "out"), cwd=ROOT)
        while _size(done) <= begun and process.poll() is None:
            time.sleep(0.01)
        time.sleep(draw.uniform(0, seconds / (2 * _KILLS)))  # so that ten are done before the run is
        process.send_signal(signal.SIGKILL)
        if process.wait() != -signal.SIGKILL:
            break  # it was done before; what is there counts
        kills += 1
        blocks.append(_size(done) - begun)
    run(predicting(package, path, folder / "out"))
    names = ("killed.tif", "killed.tif.aux.xml")
    same = all(_digest(folder / "out" / name) == _digest(folder / "whole" / name) for name in names)
    return {"size": _KILLED, "kills": kills, "blocks_between": blocks, "same": same}


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def measure_throughput(folder: Path) -> list[dict[str, Any]]:
    """Windows a second from file to file, as a share of the engine's own, in turns: by NumPy, and by segship-native."""
    path, found = write_raster(folder / "timed.tif", _TIMED), []
    for channels in (64, 1024):
        with segship.Segmentor(make_package(folder, channels)) as segmentor:
            rows = []
            for wanted in (False, True):
                with native.using(wanted):
                    rows.append(_share(segmentor, path, folder / f"timed-{channels}-{wanted}"))
            (share, alone), (native_share, native_alone) = rows
        milliseconds = 2000 / (alone + native_alone)
        found.append({"channels": channels, "milliseconds": milliseconds, "share": share, "native": native_share})
    return found


def _share(segmentor: segship.Segmentor, path: Path, to: Path) -> tuple[float, float]:
    """The middle of some shares, and windows a second of the engine beside it."""
    shares = []
    for number in range(_ROUNDS):
        before = _alone(segmentor)
        (told,) = predict_files(segmentor, [path], to / str(number), ResultForm()).scenes.values()
        alone = (before + _alone(segmentor)) / 2
        shares.append((told["windows_run"] / told["seconds"] / alone, alone))
    return sorted(shares)[_ROUNDS // 2]


def _alone(segmentor: segship.Segmentor) -> float:
    """Windows a second of the engine, on a prepared window, for about four seconds."""
    window = np.zeros((1, 4, 1024, 1024), np.float32)
    run = segmentor._pipeline.run  # noqa: SLF001
    run(window)
    begin, count = time.perf_counter(), 0
    while (passed := time.perf_counter() - begin) < 4:
        run(window)
        count += 1
    return count / passed


def measure_video(folder: Path) -> list[dict[str, Any]]:
    """Frames a second from clip to overlay, as a share of the engine's own, in turns: of two networks."""
    slow = write_network(folder / "network", bands=3, channels=512, pixels="uint8")
    clip, found = _clip(folder / "clip.mp4"), []
    for package in (_demo(folder), segship.export(slow, folder / "slow").path):
        with segship.Segmentor(package) as segmentor:
            rates = [measure_clip(segmentor, str(clip), folder / f"overlay{number}.mp4") for number in range(_ROUNDS)]
        one, many, video = sorted(rates, key=lambda rate: rate[2] / rate[0])[_ROUNDS // 2]
        row = {"milliseconds": 1000 / one, "share": video / one, "share_of_many": video / many}
        found.append({"size": _FRAME} | row)
    return found


def _clip(path: Path) -> Path:
    """The demo's scenes, each for a while, moving."""
    import av
    import cv2

    scenes = [cv2.resize(cv2.imread(str(name)), _FRAME[::-1]) for name in sorted((DEMO / "images").glob("*"))[:6]]
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=25)
        (stream.height, stream.width), stream.pix_fmt = _FRAME, "yuv420p"
        for number in range(_FRAMES):
            picture = np.roll(scenes[number * len(scenes) // _FRAMES], 4 * number, axis=1)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="bgr24")))
        out.mux(stream.encode(None))
    return path


def _demo(folder: Path) -> Path:
    return segship.export(DEMO / "fast_scnn_scenes.py", DEMO / "fast_scnn_scenes.pth", folder / "demo").path


def measure_seams(folder: Path) -> list[dict[str, Any]]:
    """The share of labels that change when the windows are moved, for each blend and overlap."""
    package, path, found = _demo(folder), _quilt(folder / "quilt.tif"), []
    with segship.Segmentor(package) as segmentor:
        for overlap in (32, 64, 128):
            row: dict[str, Any] = {"overlap": overlap}
            for blend in ("mean", "hann", "center"):
                options = SceneOptions(window=(256, 256), overlap=overlap, blend=blend)
                form = ResultForm(scene=SceneForm(options))
                (told,) = predict_files(segmentor, [path], folder / f"{blend}{overlap}", form).scenes.values()
                row[blend] = told["seams"]["changed"]
            found.append(row)
    return found


def _quilt(path: Path) -> Path:
    """The demo's scenes side by side, and again, enlarged: 2048 x 2048 pixels."""
    import cv2
    import rasterio

    scenes = [cv2.imread(str(name))[:, :, ::-1] for name in sorted((DEMO / "images").glob("*"))]
    tiles = [cv2.resize(scene, (512, 256), interpolation=cv2.INTER_CUBIC) for scene in scenes]
    rows = [np.concatenate([tiles[(4 * row + column) % len(tiles)] for column in range(4)], 1) for row in range(8)]
    quilt = np.moveaxis(np.concatenate(rows), 2, 0)
    how = {"driver": "GTiff", "count": 3, "dtype": "uint8", "crs": "EPSG:32633", "tiled": True}
    transform = rasterio.transform.from_origin(400_000, 5_800_000, 0.25, 0.25)
    with rasterio.open(path, "w", height=2048, width=2048, transform=transform, **how) as data:
        data.write(quilt)
    return path


MEASURES: dict[str, Callable[[Path], Any]] = {
    "equal": measure_equal,
    "kills": measure_kills,
    "throughput": measure_throughput,
    "video": measure_video,
    "seams": measure_seams,
    "large": measure_large,
}


def page(found: dict[str, Any]) -> str:
    """What the figures say."""
    lines = ["| what | result |", "|---|---|"]
    if large := found.get("large"):
        lines.append(
            f"| {_of(large['size'])}, four bands, a COG of {large['gigabytes']:.1f} GB: file to file | "
            f"{large['mebibytes']:.0f} MiB at most, {large['mebibytes_of_one_window']:.0f} MiB of which a scene of one "
            f"window takes; {large['windows']} windows in {large['seconds']:.0f} s |"
        )
    if equal := found.get("equal"):
        lines.append(f"| {_of(equal['size'])} against the same array in memory | {equal['differ']} labels differ |")
    if kills := found.get("kills"):
        lines.append(
            f"| {_of(kills['size'])}, killed {kills['kills']} times at random, `--resume` | "
            f"{'the same bytes' if kills['same'] else 'other bytes'} as a run that is not |"
        )
    lines += [
        f"| {_of(_TIMED)}, an engine of {row['milliseconds']:.0f} ms a window | "
        f"{row['share']:.2f} of the engine's own windows a second, {row['native']:.2f} with segship-native |"
        for row in found.get("throughput", [])
    ]
    lines += [
        f"| a clip of {_of(row['size'])}, an engine of {row['milliseconds']:.0f} ms a frame: clip to overlay | "
        f"{row['share']:.2f} of the engine's own frames a second one at a time, {row['share_of_many']:.2f} of many |"
        for row in found.get("video", [])
    ]
    if seams := found.get("seams"):
        lines += ["", "| pixels shared | `mean` | `hann` | `center` |", "|---|---|---|---|"]
        lines += [
            f"| {row['overlap']} of 256 | {row['mean']:.2%} | {row['hann']:.2%} | {row['center']:.2%} |"
            for row in seams
        ]
    return "\n".join(lines)


def _of(size: tuple[int, int]) -> str:
    return f"{size[1]:,} x {size[0]:,}".replace(",", " ")


def main() -> None:
    """Measure the parts that are asked for and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=[*MEASURES, []])
    parser.add_argument("--folder", type=Path, help="for rasters and results; kept")
    options = parser.parse_args()
    found = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.is_file() else {}
    with tempfile.TemporaryDirectory() as scratch:
        for part in options.parts or MEASURES:
            folder = (options.folder or Path(scratch)) / part
            folder.mkdir(parents=True, exist_ok=True)
            found[part] = MEASURES[part](folder)
            print(part, found[part], flush=True)
            RESULTS.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
            head, rest = PAGE.read_text(encoding="utf-8").split(BEGIN)
            PAGE.write_text(f"{head}{BEGIN}\n{page(found)}\n{END}{rest.split(END)[1]}", encoding="utf-8")


if __name__ == "__main__":
    main()
