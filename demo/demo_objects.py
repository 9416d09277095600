"""What stands and moves in the demo's streets: vehicles, persons, trees and hedges."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from demo_paint import Array, Canvas, Paint, disc, gradient, rgb, smooth, vec
from demo_street import PERSON, VEGETATION, VEHICLE, Street

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["Crown", "Person", "Vehicle"]

RIGHT, UP, AHEAD = np.eye(3, dtype=np.float32)
PAINTS = [(196, 28, 30), (24, 62, 140), (228, 228, 226), (36, 38, 42), (150, 152, 156), (92, 96, 102), (206, 170, 40)]
PAINTS += [(30, 96, 70), (120, 24, 40), (70, 130, 180), (226, 222, 210), (176, 92, 40)]


@dataclass(frozen=True)
class Shape:
    """Measures of a kind of vehicle, in metres; the rear end is at 0 of its length.

    Attributes:
        length, width, height: Overall.
        belt: Height of the lower edge of the windows.
        hood, trunk: Height of the body's two ends.
        cabin: Where the cabin starts and ends at the belt.
        roof: Where it starts and ends at the top.
        lean: How far the cabin's sides lean inwards.
        panes: Side windows.
    """

    length: float
    width: float
    height: float
    belt: float
    hood: float
    trunk: float
    cabin: tuple[float, float]
    roof: tuple[float, float]
    lean: float
    panes: int


SHAPES = {
    "sedan": Shape(4.6, 1.8, 1.45, 0.92, 0.78, 0.9, (0.55, 3.45), (1.2, 2.6), 0.2, 2),
    "hatchback": Shape(4.0, 1.75, 1.5, 0.95, 0.8, 0.95, (0.05, 3.0), (0.4, 2.2), 0.18, 2),
    "suv": Shape(4.6, 1.9, 1.72, 1.08, 0.98, 1.05, (0.05, 3.4), (0.3, 2.7), 0.17, 3),
    "van": Shape(5.2, 2.0, 2.3, 1.25, 1.1, 1.25, (0.0, 4.8), (0.05, 4.1), 0.1, 2),
    "bus": Shape(10.5, 2.5, 3.1, 1.15, 1.15, 1.15, (0.0, 10.5), (0.05, 10.35), 0.05, 7),
}


class Vehicle:
    """A vehicle that stands along the street.

    Args:
        rng: Chooses its look.
        kind: A key of ``SHAPES``.
        x, z: Middle of its width, and its end nearest to the camera.
        away: Whether its rear is at that end.
    """

    def __init__(self, rng: np.random.Generator, kind: str, x: float, z: float, *, away: bool) -> None:
        self.shape, self.kind, self.x, self.z, self.away = SHAPES[kind], kind, x, z, away
        self.color = rgb(*PAINTS[rng.integers(len(PAINTS))]) * np.float32(rng.uniform(0.8, 1.1))
        self.blind = kind == "van" and rng.random() < 0.6  # a delivery van: no side windows at the back
        self.shade = 0.0

    @property
    def depth(self) -> float:
        """Distance by which things are sorted."""
        return self.z + 0.5

    def at(self, points: Sequence[tuple[float, float, float]]) -> Array:
        """(across, up, along from the rear) to world points (n, 3)."""
        local = np.array(points, np.float32)
        along = local[:, 2] if self.away else self.shape.length - local[:, 2]
        return np.stack([self.x + local[:, 0], local[:, 1], self.z + along], axis=1).astype(np.float32)

    def cast(self, street: Street) -> None:
        """Put its shadow on the ground, and note whether it stands in a house's."""
        s, w = self.shape, self.shape.width / 2
        floor = [(x, 0.2, z) for x in (-w, w) for z in (0.05, s.length - 0.05)]
        belt = [(x, s.belt, z) for x in (-w, w) for z in (0.05, s.length - 0.05)]
        roof = [(x, s.height, z) for x in (s.lean - w, w - s.lean) for z in s.roof]
        street.cast(self.at(floor + belt))
        street.cast(self.at(belt + roof))
        street.settle(self.at([(x * 0.98, 0.0, z) for x in (-w, w) for z in (0.1, s.length - 0.1)]))
        middle = self.at([(0, 1.0, s.length / 2)])
        self.shade = float(street.house_shadow(middle)[0])

    def paint(self, canvas: Canvas, street: Street) -> None:
        """Paint it, from the ground up."""
        side = -1.0 if self.x > canvas.camera.position[0] else 1.0
        self._underside(canvas, side)
        self._body(canvas, side)
        self._cabin(canvas, side)
        self._ends(canvas)
        for along in (0.19 * self.shape.length, 0.8 * self.shape.length):
            self._wheel(canvas, side, along)
        del street

    def _tone(self, canvas: Canvas, color: Array, normal: Array) -> Array:
        shaded = canvas.light.shade(color, normal, self.shade)
        glossy = canvas.light.horizon * np.float32(0.05 + 0.05 * max(0.0, float(normal[1])))
        return np.asarray(shaded + glossy, np.float32)

    def _panel(self, canvas: Canvas, corners: list[tuple[float, float, float]], color: Array, normal: Array) -> None:
        lit = self._tone(canvas, color, normal)
        heights = [corner[1] for corner in corners]
        flat = max(heights) - min(heights) < 0.1
        paint: Paint = lit if flat else gradient(0.1, self.shape.belt + 0.4, lit * 0.62, lit * 1.08)
        canvas.polygon(self.at(corners), paint, VEHICLE)

    def _underside(self, canvas: Canvas, side: float) -> None:
        s, w = self.shape, self.shape.width / 2 - 0.04
        dark = rgb(16, 16, 18)
        for along in (0.1, s.length - 0.1):
            canvas.polygon(
                self.at([(-w, 0.1, along), (w, 0.1, along), (w, 0.4, along), (-w, 0.4, along)]), dark, VEHICLE
            )
            for x in (-w + 0.12, w - 0.12):
                tyre = [(x - 0.1, 0, along), (x + 0.1, 0, along), (x + 0.1, 0.4, along), (x - 0.1, 0.4, along)]
                canvas.polygon(self.at(tyre), dark, VEHICLE)
        flank = [(side * w, 0.12, 0.15), (side * w, 0.12, s.length - 0.15)]
        flank += [(side * w, 0.4, s.length - 0.15), (side * w, 0.4, 0.15)]
        canvas.polygon(self.at(flank), dark, VEHICLE)

    def _body(self, canvas: Canvas, side: float) -> None:
        s, w = self.shape, self.shape.width / 2
        # Outline of the flank from the rear bumper over the belt to the front bumper.
        outline = [(0.0, 0.24), (0.0, 0.55), (0.0, s.trunk), (s.cabin[0], s.belt), (s.cabin[1], s.belt)]
        outline += [(s.length, s.hood), (s.length, 0.55), (s.length, 0.24)]
        sloped = UP * 0.97 + AHEAD * (0.24 if self.away else -0.24)
        tops = [(outline[4], outline[5], sloped), (outline[2], outline[3], UP)]
        for (z0, y0), (z1, y1), normal in tops:
            corners = [(-w, y0, z0), (w, y0, z0), (w, y1, z1), (-w, y1, z1)]
            self._panel(canvas, corners, self.color, normal)
        flank = [(side * w, y, z) for z, y in outline]
        self._panel(canvas, flank, self.color, side * RIGHT)
        crease = [(side * w, 0.62, 0.2), (side * w, 0.62, s.length - 0.2)]
        crease += [(side * w, 0.58, s.length - 0.2), (side * w, 0.58, 0.2)]
        self._panel(canvas, crease, self.color * 0.55, side * RIGHT)

    def _ends(self, canvas: Canvas) -> None:
        """The end that faces the camera: bumper, lights, plate."""
        s, w = self.shape, self.shape.width / 2
        along, top = (0.0, s.trunk) if self.away else (s.length, s.hood)
        end = [(-w, 0.24, along), (w, 0.24, along), (w, top, along), (-w, top, along)]
        self._panel(canvas, end, self.color, -AHEAD)
        bumper = [(-w, 0.24, along), (w, 0.24, along), (w, 0.46, along), (-w, 0.46, along)]
        self._panel(canvas, bumper, rgb(46, 46, 50) if self.kind != "sedan" else self.color * 0.7, -AHEAD)
        lamp = rgb(190, 16, 14) if self.away else rgb(250, 246, 225)
        high = min(top - 0.06, 0.95)
        for x in (-1, 1):
            lights = [(x * (w - 0.06), high - 0.17, along), (x * (w - 0.42), high - 0.17, along)]
            lights += [(x * (w - 0.42), high, along), (x * (w - 0.06), high, along)]
            canvas.polygon(self.at(lights), canvas.light.shade(lamp, -AHEAD, self.shade) + lamp * 0.25, VEHICLE)
        plate = [(-0.26, 0.5, along), (0.26, 0.5, along), (0.26, 0.62, along), (-0.26, 0.62, along)]
        self._panel(canvas, plate, rgb(230, 228, 214), -AHEAD)
        if not self.away:
            grille = [
                (-0.45, 0.64, along),
                (0.45, 0.64, along),
                (0.45, high - 0.02, along),
                (-0.45, high - 0.02, along),
            ]
            self._panel(canvas, grille, rgb(28, 28, 30), -AHEAD)

    def _cabin(self, canvas: Canvas, side: float) -> None:
        s, w, top = self.shape, self.shape.width / 2 - 0.02, self.shape.width / 2 - self.shape.lean
        lean = np.array([side, 0.3, 0], np.float32) / np.float32(1.044)
        roof = [(-top, s.height, s.roof[0]), (top, s.height, s.roof[0]), (top, s.height, s.roof[1])]
        self._panel(canvas, [*roof, (-top, s.height, s.roof[1])], self.color, UP)
        flank = [(side * w, s.belt, s.cabin[0]), (side * w, s.belt, s.cabin[1])]
        flank += [(side * top, s.height, s.roof[1]), (side * top, s.height, s.roof[0])]
        self._panel(canvas, flank, self.color, lean)
        near = 0 if self.away else 1
        end = [(-w, s.belt, s.cabin[near]), (w, s.belt, s.cabin[near])]
        end += [(top, s.height, s.roof[near]), (-top, s.height, s.roof[near])]
        self._panel(canvas, end, self.color, -AHEAD * 0.9 + UP * 0.43)
        for pane in range(self.shape.panes):
            if self.blind and pane == 0:
                continue
            self._pane(canvas, flank, (pane + 0.06) / s.panes, (pane + 0.94) / s.panes)
        self._pane(canvas, end, 0.06, 0.94)

    def _pane(self, canvas: Canvas, wall: list[tuple[float, float, float]], left: float, right: float) -> None:
        """Glass in a wall (lower rear, lower front, upper front, upper rear), between two shares of its length."""
        a, b, c, d = (np.array(corner) for corner in wall)
        corners = []
        for share, up in ((left, 0.06), (right, 0.06), (right, 0.86), (left, 0.86)):
            low, high = a + (b - a) * (0.03 + 0.94 * share), d + (c - d) * (0.03 + 0.94 * share)
            corners.append(tuple(low + (high - low) * up))
        sky = canvas.light.horizon * np.float32(0.22 - 0.12 * self.shade) + rgb(30, 36, 42)
        canvas.polygon(self.at(corners), gradient(self.shape.belt, self.shape.height, rgb(20, 24, 28), sky), VEHICLE)

    def _wheel(self, canvas: Canvas, side: float, along: float) -> None:
        radius = 0.45 if self.kind == "bus" else 0.33
        flank = side * (self.shape.width / 2 + 0.01)
        rim = self._tone(canvas, rgb(150, 152, 156), side * RIGHT)
        parts = ((1.2, rgb(14, 14, 15)), (1.0, rgb(30, 30, 32)), (0.62, rim), (0.48, rim * 0.45), (0.2, rim))
        for share, color in parts:
            center = self.at([(flank, radius + (0.05 if share > 1 else 0), along)])[0]
            canvas.polygon(disc(center, radius * share, AHEAD, UP), color, VEHICLE)


class Person:
    """Somebody who stands or walks.

    Args:
        rng: Chooses looks and pose.
        x, z: Where.
    """

    def __init__(self, rng: np.random.Generator, x: float, z: float) -> None:
        self.x, self.z = x, z
        self.size = rng.uniform(0.9, 1.08) * (0.68 if rng.random() < 0.1 else 1.0)
        self.stride = rng.uniform(0.02, 0.30)
        self.turn = rng.choice([-1.0, 1.0])
        tops = [
            (190, 40, 40),
            (40, 70, 150),
            (235, 230, 220),
            (30, 30, 34),
            (60, 110, 70),
            (210, 160, 50),
            (120, 60, 120),
        ]
        legs = [(36, 44, 70), (30, 30, 32), (110, 100, 80), (70, 74, 80), (60, 80, 120)]
        skins = [(236, 188, 160), (198, 140, 104), (140, 92, 66), (88, 58, 44)]
        hair = [(40, 28, 20), (20, 18, 18), (120, 80, 40), (190, 160, 100), (130, 128, 126)]
        self.top, self.legs, self.skin, self.hair = (rgb(*p[rng.integers(len(p))]) for p in (tops, legs, skins, hair))
        self.coat = rng.random() < 0.4
        self.bag = rgb(*rng.integers(30, 170, 3)) if rng.random() < 0.4 else None
        self.broad = rng.uniform(0.9, 1.15)
        self.shade = 0.0

    @property
    def depth(self) -> float:
        """Distance by which things are sorted."""
        return self.z

    def at(self, points: Array) -> Array:
        """(across, up) (n, 2), for somebody 1.75 m tall, to world points (n, 3)."""
        across = self.x + self.size * self.turn * points[:, 0]
        return np.stack([across, self.size * points[:, 1], np.full(len(points), self.z)], axis=1).astype(np.float32)

    def cast(self, street: Street) -> None:
        """Put the shadow on the ground."""
        body = np.array([(-0.22, 0.05), (0.22, 0.05), (-0.24, 1.4), (0.24, 1.4), (0.0, 1.75)], np.float32)
        street.cast(self.at(body))
        feet = self.at(disc(np.zeros(2, np.float32), 0.26, RIGHT[:2], UP[:2]))
        feet[:, 2] += feet[:, 1]
        street.settle(feet, 0.8)
        self.shade = float(street.shadow(self.at(np.array([(0, 0.9)], np.float32)))[0])

    def paint(self, canvas: Canvas, street: Street) -> None:
        """Paint legs, body, arms and head."""
        del street
        step, broad = self.stride, self.broad
        hem = 0.62 if self.coat else 0.88
        for sign, tone in ((-1, 0.8), (1, 1.0)):
            knee = (sign * step * 0.55 + 0.04 * sign + 0.05 * step, 0.48)
            foot = (sign * (step + 0.07), 0.07)
            self._limb(canvas, (0.07 * sign, 0.9), knee, (0.10 * broad, 0.075), self.legs * tone)
            self._limb(canvas, knee, foot, (0.078, 0.055), self.legs * tone)
            self._limb(canvas, (foot[0] - 0.02, 0.045), (foot[0] + 0.1, 0.035), (0.05, 0.035), rgb(34, 28, 26))
        self._limb(canvas, (-0.2 * broad, 1.36), (-0.24 * broad - 0.4 * step, 0.84), (0.06, 0.045), self.top * 0.75)
        torso = [
            (-0.17, hem),
            (0.17, hem),
            (0.19, 1.15),
            (0.21, 1.38),
            (0.13, 1.47),
            (-0.13, 1.47),
            (-0.21, 1.38),
            (-0.19, 1.15),
        ]
        self._fill(canvas, np.array(torso, np.float32) * vec(broad, 1), self.top)
        if self.bag is not None:
            self._limb(canvas, (-0.16 * broad, 1.3), (-0.17 * broad, 1.05), (0.1, 0.11), self.bag)
        self._limb(canvas, (0.2 * broad, 1.36), (0.23 * broad + 0.35 * step, 0.84), (0.06, 0.045), self.top * 0.9)
        for sign in (-1, 1):
            hand = (sign * (0.24 * broad + (0.4 if sign < 0 else 0.35) * step), 0.8)
            self._limb(canvas, hand, hand, (0.05, 0.05), self.skin)
        self._limb(canvas, (0, 1.44), (0, 1.56), (0.055, 0.055), self.skin * 0.8)
        self._limb(canvas, (0, 1.61), (0.005, 1.65), (0.095, 0.1), self.skin)
        self._limb(canvas, (-0.025, 1.68), (-0.01, 1.7), (0.1, 0.095), self.hair)

    def _fill(self, canvas: Canvas, points: Array, color: Array) -> None:
        light = canvas.light
        dark = light.shade(color, -AHEAD * 0.8, 1.0)
        lit = dark + color * light.sun * np.float32((1 - self.shade) * 0.55)
        toward = 1 if light.direction[0] > 0 else -1

        def paint(world: Array) -> Array:
            share = smooth(-0.2, 0.22, toward * (world[:, 0] - self.x))[:, None]
            return np.asarray(dark + (lit - dark) * share, np.float32)

        canvas.polygon(self.at(points), paint, PERSON)

    def _limb(
        self, canvas: Canvas, a: tuple[float, float], b: tuple[float, float], radii: tuple[float, float], color: Array
    ) -> None:
        rounds = [disc(vec(*p), r, RIGHT[:2], UP[:2], 12) for p, r in zip((a, b), radii, strict=True)]
        outline = cv2.convexHull(np.concatenate(rounds))[:, 0]
        self._fill(canvas, np.asarray(outline, np.float32), color)


class Crown:
    """Leaves: the crown of a tree with its trunk, or a bush.

    Args:
        rng: Chooses the looks.
        x, z: Where.
        middle: Height of the crown's middle.
        radii: Half of its width and height.
        color: Of the leaves.
    """

    def __init__(
        self, rng: np.random.Generator, x: float, z: float, middle: float, radii: tuple[float, float], color: Array
    ) -> None:
        self.x, self.z, self.middle, self.radii = x, z, middle, radii
        self.color = color * rng.uniform(0.75, 1.15, 3).astype(np.float32) ** np.float32(0.6)
        self.lean = rng.uniform(-0.25, 0.25)
        self.trunk = rng.uniform(0.11, 0.2)
        count = int(np.clip(26 * radii[0] * radii[1], 26, 110))
        spots = rng.normal(size=(count, 3))
        spots /= np.linalg.norm(spots, axis=1, keepdims=True)
        self.spots = (spots * rng.uniform(0.45, 0.9, (count, 1))).astype(np.float32)
        self.sizes = (rng.uniform(0.2, 0.36, count) * radii[0]).astype(np.float32)
        self.tones = rng.uniform(0.8, 1.2, count).astype(np.float32)
        self.shift = int(rng.integers(0, 400))

    @property
    def depth(self) -> float:
        """Distance by which things are sorted."""
        return self.z

    def _centers(self) -> Array:
        scale = np.array([self.radii[0], self.radii[1], self.radii[0]], np.float32)
        return np.asarray(self.spots * scale + np.array([self.x + self.lean, self.middle, self.z]), np.float32)

    def cast(self, street: Street) -> None:
        """Put a dappled shadow on the ground."""
        for center, size in zip(self._centers()[::2], self.sizes[::2], strict=True):
            street.cast(disc(center, float(size) * 0.95, RIGHT, AHEAD, 10))
        street.cast(
            np.array([(self.x + s * self.trunk, y, self.z) for s in (-1, 1) for y in (0, self.middle)], np.float32)
        )
        street.settle(disc(vec(self.x, 0, self.z), max(0.3, 0.6 * self._bush()), RIGHT, AHEAD), 0.7)

    def _bush(self) -> float:
        """How far the leaves reach on the ground: 0 for a tree."""
        return self.radii[0] if self.middle < 1.2 * self.radii[1] else 0.0

    def paint(self, canvas: Canvas, street: Street) -> None:
        """Paint the trunk, then the leaves from the back to the front."""
        shade = float(street.house_shadow(vec(self.x, self.middle, self.z)[None])[0])
        if not self._bush():
            self._trunk(canvas, float(street.house_shadow(vec(self.x, 1.0, self.z)[None])[0]))
        centers = self._centers()
        view = canvas.camera.view(centers)
        if view[:, 2].min() < 1.0:
            return
        pixels, scale = canvas.camera.project(view), canvas.camera.focal / view[:, 2]
        margin = float((self.sizes * scale).max()) + 4
        low = np.floor(pixels.min(0) - margin).astype(int)
        high = np.ceil(pixels.max(0) + margin).astype(int)
        if (high < 0).any() or low[0] > canvas.camera.width or low[1] > canvas.camera.height:
            return
        mask, tone = self._leaves(pixels - low, scale, view[:, 2], tuple(high - low), canvas)
        rough, sheen = self._rustle(mask, tone, float(scale.mean()), street)
        color = self._lit(canvas, sheen, shade)
        canvas.stamp(low[1], low[0], color, rough, VEGETATION, float(view[:, 2].mean()))

    def _leaves(
        self, pixels: Array, scale: Array, far: Array, size: tuple[int, int], canvas: Canvas
    ) -> tuple[Array, Array]:
        """Coverage and brightness, both (h, w): one disc for each tuft."""
        mask = np.zeros((size[1], size[0]), np.float32)
        tone = np.zeros_like(mask)
        facing = self.spots @ canvas.light.direction
        bright = (0.42 + 0.42 * facing + 0.22 * self.spots[:, 1]) * self.tones
        for i in np.argsort(-far):
            radius = float(self.sizes[i] * scale[i])
            for share, gain in ((1.0, 0.78), (0.7, 1.0)):
                shift = (1 - share) * radius * np.sign(canvas.light.direction[0]) * 0.6
                center = (int((pixels[i, 0] + shift) * 16), int((pixels[i, 1] - (1 - share) * radius * 0.6) * 16))
                cv2.circle(tone, center, max(1, int(radius * share * 16)), float(bright[i] * gain), -1, shift=4)
            center = (int(pixels[i, 0] * 16), int(pixels[i, 1] * 16))
            cv2.circle(mask, center, max(1, int(radius * 16)), 1.0, -1, shift=4)
        return mask, tone

    def _rustle(self, mask: Array, tone: Array, scale: float, street: Street) -> tuple[NDArray[np.bool_], Array]:
        """Displace the discs by noise, so that they look like leaves."""
        rows, columns = np.mgrid[: mask.shape[0], : mask.shape[1]].astype(np.float32)
        zoom = 24 / max(scale, 1e-3) * 1.4
        u, v = columns * zoom + self.shift, rows * zoom + self.shift
        noise, reach = street.noise, 0.26 * scale
        dx = reach * (noise.soft(u, v) - 0.5) * 2
        dy = reach * (noise.soft(u + 200, v + 77) - 0.5) * 2
        x, y = columns + dx, rows + dy
        moved = cv2.remap(mask, x, y, cv2.INTER_LINEAR, borderValue=0)
        sheen = cv2.remap(tone, x, y, cv2.INTER_LINEAR, borderValue=0)
        leaves = 0.72 + 0.56 * noise.soft(u * 2.1 + 60, v * 2.1)
        speckle = 0.8 + 0.4 * noise.dice(columns * 0.5 + self.shift, rows * 0.5)
        return moved > 0.5, np.asarray(sheen * leaves * speckle, np.float32)

    def _lit(self, canvas: Canvas, sheen: Array, shade: float) -> Array:
        light = canvas.light
        sun = light.sun * np.float32(0.8 * (1 - shade))
        base = self.color * (light.ambient * 0.75)
        warm = self.color * np.array([1.1, 1.05, 0.75], np.float32)
        level = np.clip(sheen, 0.05, 1.3)[..., None]
        return np.asarray(base * (0.35 + 0.9 * level) + warm * sun * level**1.5, np.float32)

    def _trunk(self, canvas: Canvas, shade: float) -> None:
        bark = rgb(96, 78, 62)
        dark = canvas.light.shade(bark, -AHEAD, 1.0) * 0.8
        lit = dark + bark * canvas.light.sun * np.float32(0.5 * (1 - shade))
        toward = 1 if canvas.light.direction[0] > 0 else -1

        def paint(points: Array) -> Array:
            share = smooth(-self.trunk, self.trunk, toward * (points[:, 0] - self.x))[:, None]
            return np.asarray(dark + (lit - dark) * share, np.float32)

        w, top = self.trunk, self.middle
        corners = [(self.x - w * 1.2, 0.0, self.z), (self.x + w * 1.2, 0.0, self.z)]
        corners += [(self.x + self.lean + w * 0.6, top, self.z), (self.x + self.lean - w * 0.6, top, self.z)]
        canvas.polygon(np.array(corners, np.float32), paint, VEGETATION)
