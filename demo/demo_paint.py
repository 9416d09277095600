"""What the demo's scenes are painted with: a camera, light, noise, and a canvas that takes polygons in metres.

World coordinates: x to the right, y up, z along the street, in metres; the camera stands at z = 0. Colours are linear
radiance, float32 RGB, until `Canvas.develop` turns them into a photograph.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["Array", "Camera", "Canvas", "Light", "Noise", "Paint", "disc", "gradient", "rgb", "smooth", "vec"]

Array: TypeAlias = NDArray[np.float32]
Paint: TypeAlias = Array | Callable[[Array], Array]
"""A colour (3,), or a function from world points (n, 3) to colours (n, 3)."""

NEAR = 0.4  # metres; polygons are cut off there
SUBPIXEL = 4  # bits of a polygon corner's fraction


def vec(*values: float) -> Array:
    """A vector of numbers."""
    return np.array(values, np.float32)


def rgb(*values: float) -> Array:
    """A linear colour from the usual 0-255 screen values."""
    return np.asarray((np.array(values) / 255) ** 2.2, np.float32)


def smooth(low: float, high: float, x: Array) -> Array:
    """0 below ``low``, 1 above ``high``, a smooth step between them."""
    t = np.clip((x - low) / (high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)


def gradient(low: float, high: float, below: Array, above: Array) -> Paint:
    """A paint that goes from one colour to another with height."""

    def paint(points: Array) -> Array:
        share = np.clip((points[:, 1:2] - low) / (high - low), 0, 1)
        return np.asarray(below + (above - below) * share, np.float32)

    return paint


def disc(center: Array, radius: float, first: Array, second: Array, corners: int = 18) -> Array:
    """Corners (corners, 3) of a circle in the plane that the unit vectors ``first`` and ``second`` span."""
    angles = np.linspace(0, 2 * np.pi, corners, endpoint=False, dtype=np.float32)[:, None]
    return np.asarray(center + radius * (np.cos(angles) * first + np.sin(angles) * second), np.float32)


class Noise:
    """Tileable fractal noise in [0, 1], and a table of independent numbers, looked up at any coordinates."""

    SIZE = 512

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        total = np.zeros((self.SIZE, self.SIZE), np.float32)
        for octave in range(3, 10):
            grid = rng.random((2**octave, 2**octave), dtype=np.float32)
            wrapped = np.pad(grid, 2, mode="wrap")
            factor = self.SIZE // 2**octave
            large = cv2.resize(wrapped, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
            margin = 2 * factor
            total += large[margin : margin + self.SIZE, margin : margin + self.SIZE] * 0.62 ** (octave - 3)
        low, high = np.quantile(total, (0.01, 0.99))
        self.fractal = np.clip((total - low) / (high - low), 0, 1).astype(np.float32)
        self.white = rng.random((self.SIZE, self.SIZE), dtype=np.float32)

    def soft(self, u: Array, v: Array) -> Array:
        """Fractal noise at (u, v), interpolated between its cells."""
        size, row = np.size(u), 1024  # cv2.remap takes no array of more than 32767 rows or columns
        maps = np.zeros((2, -(-size // row) * row), np.float32)
        maps[0, :size], maps[1, :size] = np.mod(v, self.SIZE).ravel(), np.mod(u, self.SIZE).ravel()
        x, y = maps.reshape(2, -1, row)
        found = cv2.remap(self.fractal, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
        return np.asarray(found.ravel()[:size].reshape(np.shape(u)), np.float32)

    def dice(self, u: Array, v: Array) -> Array:
        """An independent number in [0, 1) for each integer cell (u, v)."""
        mask = self.SIZE - 1
        rows, columns = np.floor(u).astype(np.int64) & mask, np.floor(v).astype(np.int64) & mask
        return np.asarray(self.white[rows, columns], np.float32)


@dataclass(frozen=True)
class Camera:
    """A pinhole camera above the street.

    Attributes:
        height, width: Size of the picture in pixels.
        focal: Focal length in pixels.
        position: (x, y, z) in metres.
        yaw, pitch: Radians; positive yaw looks to the right, positive pitch up.
    """

    height: int
    width: int
    focal: float
    position: Array
    yaw: float
    pitch: float

    @property
    def rotation(self) -> Array:
        """Columns: the camera's right, up and forward directions in the world."""
        (sy, cy), (sp, cp) = (np.sin(self.yaw), np.cos(self.yaw)), (np.sin(self.pitch), np.cos(self.pitch))
        turn = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
        tilt = np.array([[1, 0, 0], [0, cp, sp], [0, -sp, cp]])
        return np.asarray(turn @ tilt, np.float32)

    def rays(self) -> Array:
        """Direction (height, width, 3) of each pixel's ray, one unit long along the optical axis."""
        x = (np.arange(self.width, dtype=np.float32) + 0.5 - self.width / 2) / self.focal
        y = (self.height / 2 - np.arange(self.height, dtype=np.float32) - 0.5) / self.focal
        local = np.stack(np.broadcast_arrays(x[None, :], y[:, None], np.float32(1)), axis=-1)
        return np.asarray(local @ self.rotation.T, np.float32)

    def view(self, points: Array) -> Array:
        """World points (n, 3) in the camera's own axes."""
        return np.asarray((points - self.position) @ self.rotation, np.float32)

    def project(self, view: Array) -> Array:
        """Points (n, 3) in the camera's axes, in front of it, to pixels (n, 2): column, row."""
        u = self.focal * view[:, 0] / view[:, 2] + self.width / 2
        v = self.height / 2 - self.focal * view[:, 1] / view[:, 2]
        return np.stack([u, v], axis=1)


@dataclass(frozen=True)
class Light:
    """Sun, sky and air of one moment.

    Attributes:
        direction: Unit vector towards the sun.
        sun: Radiance of the sun on a surface that faces it.
        zenith, horizon: Colour of the sky.
        ambient: Light from the sky on a surface that looks up.
        haze: Share of the haze colour that each metre of air adds.
        clouds: Cover, 0-1.
    """

    direction: Array
    sun: Array
    zenith: Array
    horizon: Array
    ambient: Array
    haze: float
    clouds: float

    def shade(self, albedo: Array, normal: Array, shadow: Array | float = 0.0) -> Array:
        """Colour of a matt surface.

        Args:
            albedo: (..., 3).
            normal: (3,), a unit vector.
            shadow: (...) or a number: 1 where no sun arrives.
        """
        facing = max(0.0, float(normal @ self.direction))
        up = 0.5 + 0.5 * float(normal[1])
        bounce = 0.25 * (1 - up) * self.sun * max(0.1, float(self.direction[1]))
        lit = (1 - np.asarray(shadow, np.float32))[..., None] * (self.sun * np.float32(facing))
        return np.asarray(albedo * (self.ambient * np.float32(0.35 + 0.65 * up) + bounce + lit), np.float32)


class Canvas:
    """A picture in the making: radiance, class and distance of every pixel; later paint covers earlier paint.

    Args:
        camera: Where it is seen from.
        light: For the haze.
    """

    def __init__(self, camera: Camera, light: Light) -> None:
        shape = (camera.height, camera.width)
        self.camera, self.light = camera, light
        self.rays = camera.rays()
        self.color = np.zeros((*shape, 3), np.float32)
        self.label = np.zeros(shape, np.uint8)
        self.distance = np.full(shape, np.inf, np.float32)

    def polygon(self, corners: Array, paint: Paint, label: int) -> None:
        """Paint a flat polygon.

        Args:
            corners: (n, 3) world points in one plane.
            paint: A colour, or a function that is called with the world points of the pixels.
            label: Class of the pixels.
        """
        view = _cut_near(self.camera.view(corners))
        if len(view) < 3:
            return
        rows, columns = self._inside(self.camera.project(view))
        if not len(rows):
            return
        axis = np.cross(corners[1] - corners[0], corners[2] - corners[0])
        rays = self.rays[rows, columns]
        along = rays @ axis
        distance = (axis @ (corners[0] - self.camera.position)) / np.where(np.abs(along) < 1e-9, 1e-9, along)
        distance = np.clip(distance, NEAR, view[:, 2].max()).astype(np.float32)
        color = paint(self.camera.position + distance[:, None] * rays) if callable(paint) else paint
        self.color[rows, columns] = color
        self.label[rows, columns] = label
        self.distance[rows, columns] = distance

    def _inside(self, pixels: Array) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Rows and columns of the pixels whose centres lie within a polygon of (column, row) corners."""
        low = np.maximum(np.floor(pixels.min(0)), 0).astype(int)
        high = np.minimum(np.ceil(pixels.max(0)), (self.camera.width, self.camera.height)).astype(int)
        if (high <= low).any():
            none = np.zeros(0, np.int64)
            return none, none
        mask = np.zeros((high[1] - low[1], high[0] - low[0]), np.uint8)
        fixed = np.clip(pixels - low - 0.5, -20000, 20000) * 2**SUBPIXEL
        cv2.fillPoly(mask, [np.round(fixed).astype(np.int32)], 1, shift=SUBPIXEL)
        rows, columns = np.nonzero(mask)
        return rows + low[1], columns + low[0]

    def stamp(self, top: int, left: int, color: Array, mask: NDArray[np.bool_], label: int, distance: float) -> None:
        """Paint a small picture at one distance.

        Args:
            top: Row of its first pixel; parts outside the canvas are cut off.
            left: Column of its first pixel.
            color: (h, w, 3).
            mask: (h, w): which of its pixels count.
            label: Class of the pixels.
            distance: In metres.
        """
        height, width = self.label.shape
        rows = slice(max(top, 0), max(0, min(top + mask.shape[0], height)))
        columns = slice(max(left, 0), max(0, min(left + mask.shape[1], width)))
        part = (slice(rows.start - top, rows.stop - top), slice(columns.start - left, columns.stop - left))
        if rows.stop <= rows.start or columns.stop <= columns.start:
            return
        inside = mask[part]
        self.color[rows, columns][inside] = color[part][inside]
        self.label[rows, columns][inside] = label
        self.distance[rows, columns][inside] = distance

    def develop(self, rng: np.random.Generator, factor: int, exposure: float) -> tuple[NDArray[np.uint8], ...]:
        """The photograph and its labels.

        Args:
            rng: For the sensor's noise.
            factor: The canvas is this many times as large as the photograph.
            exposure: Multiplies the light.

        Returns:
            uint8 (H, W, 3) RGB and uint8 (H, W).
        """
        air = (1 - np.exp(-self.light.haze * np.minimum(self.distance, 400)))[..., None]
        hazy = self.color + (self.light.horizon - self.color) * np.where(np.isinf(self.distance)[..., None], 0, air)
        height, width = self.camera.height // factor, self.camera.width // factor
        small = cv2.resize(hazy, (width, height), interpolation=cv2.INTER_AREA)
        y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
        vignette = exposure * (1 - 0.12 * (x * x + y * y))
        linear = np.asarray(small * vignette[..., None], np.float32)
        grain = rng.normal(0, 0.006, linear.shape) * np.sqrt(np.maximum(linear, 0.01))
        linear = np.maximum(linear + grain, 0)
        # A film-like curve (Narkowicz's fit of the ACES tone map), then the display's gamma.
        film = linear * (2.51 * linear + 0.03) / (linear * (2.43 * linear + 0.59) + 0.14)
        image = np.round(255 * np.clip(film, 0, 1) ** (1 / 2.2)).astype(np.uint8)
        return image, np.ascontiguousarray(self.label[factor // 2 :: factor, factor // 2 :: factor])


def _cut_near(view: Array) -> Array:
    """The part of a polygon (n, 3), in the camera's axes, that lies beyond the near plane."""
    kept: list[Array] = []
    for a, b in zip(view, np.roll(view, -1, axis=0), strict=True):
        if a[2] >= NEAR:
            kept.append(a)
        if (a[2] >= NEAR) != (b[2] >= NEAR):
            kept.append(a + (b - a) * ((NEAR - a[2]) / (b[2] - a[2])))
    return np.array(kept, np.float32).reshape(-1, 3)
