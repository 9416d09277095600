"""The demo's network over pictures of a quarter of each side, where the size is not what is tested."""

from __future__ import annotations

from pathlib import Path

ASSETS = Path(__file__).parents[2] / "src" / "segship" / "assets" / "demo"
CONFIG, CHECKPOINT = ASSETS / "fast_scnn_scenes.py", ASSETS / "fast_scnn_scenes.pth"


def small_demo(folder: Path) -> tuple[Path, Path]:
    """Write its config with scenes resized to 128 x 256; that, and the trained weights.

    An export runs the network at the size of its test pipeline many times: to verify, to calibrate, to search layers.
    """
    text = CONFIG.read_text(encoding="utf-8")
    assert text.count("scale=(1024, 512)") == 1
    config = folder / "small_scenes.py"
    config.write_text(text.replace("scale=(1024, 512)", "scale=(256, 128)"), encoding="utf-8")
    return config, CHECKPOINT
