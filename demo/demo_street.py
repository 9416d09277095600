"""The demo's streets: sky, ground and houses, as functions from world points to colours."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import cv2
import numpy as np

from demo_paint import Array, Canvas, Light, Noise, Paint, rgb, smooth, vec

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["BUILDING", "PERSON", "ROAD", "SIDEWALK", "SKY", "VEGETATION", "VEHICLE", "House", "Street"]

ROAD, SIDEWALK, BUILDING, VEGETATION, SKY, PERSON, VEHICLE = range(7)

UP = np.array([0, 1, 0], np.float32)
CELL = 0.08  # metres of ground in a pixel of the shadow maps
MAP_X, MAP_Z = 26.0, 110.0  # the maps reach from -MAP_X to MAP_X and from 0 to MAP_Z
FAR = 420.0


@dataclass(frozen=True)
class House:
    """One house: a box behind the sidewalk.

    Attributes:
        side: -1 left, 1 right.
        start, stop: Where it stands along the street, in metres.
        wall: Distance of its front from the middle of the road.
        height: Of its front.
        seed: Chooses everything else.
    """

    side: int
    start: float
    stop: float
    wall: float
    height: float
    seed: int


@dataclass
class Style:
    """How a house looks; drawn from its seed."""

    seed: int
    rng: np.random.Generator = field(init=False)

    def __post_init__(self) -> None:
        self.rng = rng = np.random.default_rng(self.seed)
        plaster = [(214, 190, 150), (200, 150, 120), (170, 90, 70), (150, 70, 58), (222, 212, 196), (176, 176, 172)]
        plaster += [(196, 170, 130), (140, 120, 104), (230, 206, 170), (186, 134, 96), (160, 168, 172), (120, 62, 52)]
        self.wall = rgb(*plaster[rng.integers(len(plaster))]) * np.float32(rng.uniform(0.75, 1.05))
        self.trim = self.wall * np.float32(0.4) + rgb(225, 220, 210) * np.float32(0.6)
        self.frame = rgb(235, 235, 230) if rng.random() < 0.65 else rgb(70, 60, 55)
        self.roof = rgb(*[(72, 74, 82), (120, 66, 52), (88, 82, 78)][rng.integers(3)])
        self.shop = rgb(*(rng.uniform(50, 150) + rng.uniform(-45, 45, 3)))
        self.lets = rng.random() < 0.6  # whether there are shops on the ground floor
        self.brick = rng.random() < 0.45
        self.balcony = rng.random() < 0.3
        self.ground = rng.uniform(3.4, 4.4)
        self.floor = rng.uniform(2.9, 3.6)
        self.bay = rng.uniform(1.9, 3.3)
        self.window = (rng.uniform(0.4, 0.68), rng.uniform(0.2, 0.34), rng.uniform(0.78, 0.9))
        self.attic = rng.uniform(1.6, 2.8) if rng.random() < 0.45 else 0.0


class Street:
    """One street: its measures, its houses and the shadows on its ground.

    Args:
        rng: Chooses everything.
        light: Sun and sky.
        noise: For all textures.
    """

    def __init__(self, rng: np.random.Generator, light: Light, noise: Noise) -> None:
        self.light, self.noise = light, noise
        self.half = rng.uniform(4.2, 6.8)
        self.walk = rng.uniform(2.2, 3.8)
        self.verge = tuple(rng.uniform(1.2, 2.6) if rng.random() < 0.4 else 0.0 for _ in range(2))
        crossing = rng.uniform(16, 45)
        self.crossing = (crossing, crossing + rng.uniform(7, 11)) if rng.random() < 0.55 else (1e4, 1e4)
        self.zebra = self.crossing[0] - 4.2 if rng.random() < 0.7 else (rng.uniform(9, 22))
        self.asphalt = rgb(*(rng.uniform(78, 112) + np.array([2, 0, 1]) * rng.uniform(-3, 5)))
        paving = [(168, 160, 150), (150, 146, 142), (176, 150, 130), (186, 178, 160), (160, 128, 112)]
        self.paving = rgb(*paving[rng.integers(len(paving))]) * np.float32(rng.uniform(0.85, 1.1))
        self.tile = rng.uniform(0.5, 1.0)
        self.grass = rgb(*(np.array([96, 122, 54]) * rng.uniform(0.8, 1.1)))
        self.yellow = rng.random() < 0.3
        self.offset = rng.uniform(0, 400, 2)
        self.houses = [house for side in (-1, 1) for house in self._row(rng, side)]
        self._heights = self._height_tables()
        shape = (int(MAP_Z / CELL), int(2 * MAP_X / CELL))
        self.sun_map = np.zeros(shape, np.float32)
        self.contact_map = np.zeros(shape, np.float32)

    def wall(self, side: int) -> float:
        """Distance of the houses' line from the middle of the road."""
        return self.half + self.walk + self.verge[side > 0]

    def _row(self, rng: np.random.Generator, side: int) -> list[House]:
        houses: list[House] = []
        level = rng.uniform(7, 17)
        z, last = rng.uniform(-12, -4), rng.uniform(75, 130)
        while z < last:
            stop = z + rng.uniform(7, 17)
            blocked = z < self.crossing[1] + 1 and stop > self.crossing[0] - 1
            if blocked:
                stop = min(stop, self.crossing[0] - 1)
            if stop - z > 4:
                height = max(5.5, level * rng.uniform(0.65, 1.4))
                wall = self.wall(side) + rng.choice([0, 0, 0.6, 1.5])
                houses.append(House(side, z, stop, float(wall), height, int(rng.integers(2**31))))
            gap = rng.uniform(4, 14) if rng.random() < 0.22 else 0.0
            z = self.crossing[1] + 1 if blocked else stop + gap
        return houses

    def _height_tables(self) -> dict[int, Array]:
        tables = {side: np.zeros(800, np.float32) for side in (-1, 1)}
        for house in self.houses:
            tables[house.side][int(house.start + 100) * 2 : int(house.stop + 100) * 2] = house.height
        return tables

    def house_shadow(self, points: Array) -> Array:
        """1 where a house stands between a point (n, 3) and the sun, 0 where none does."""
        x, y, z = self.light.direction
        side = 1 if x > 0 else -1
        reach = np.maximum(side * self.wall(side) - points[:, 0], 0.0) / (x if abs(x) > 0.02 else side * 0.02)
        reach = np.abs(reach)
        at = np.clip((points[:, 2] + reach * z + 100) * 2, 0, 799).astype(np.int64)
        over = points[:, 1] + reach * y
        outside = side * points[:, 0] > self.wall(side) + 0.05
        shadow = smooth(-0.25, 0.25, self._heights[side][at] - over)
        return np.asarray(np.where(outside, 0, shadow), np.float32)

    def shadow(self, points: Array) -> Array:
        """Shade (n) of ground points: of houses and of everything drawn on the shadow map."""
        return np.asarray(np.maximum(self.house_shadow(points), 0.93 * self._look(self.sun_map, points)), np.float32)

    def _look(self, table: Array, points: Array) -> Array:
        rows, columns = points[:, 2] / CELL, (points[:, 0] + MAP_X) / CELL
        inside = (rows >= 0) & (rows < table.shape[0]) & (columns >= 0) & (columns < table.shape[1])
        values = table[np.where(inside, rows, 0).astype(np.int64), np.where(inside, columns, 0).astype(np.int64)]
        return np.asarray(np.where(inside, values, 0), np.float32)

    def on_map(self, points: Array) -> NDArray[np.int32]:
        """Ground points (n, 2 or 3; x first, z last) as (column, row) of the shadow maps, in sixteenths."""
        pixels = np.stack([(points[:, 0] + MAP_X) / CELL, points[:, -1] / CELL], axis=1)
        return np.round(np.clip(pixels, -4000, 4000) * 16).astype(np.int32)

    def cast(self, points: Array) -> None:
        """Add the shadow of a convex thing: the points (n, 3) moved along the sunlight to the ground."""
        ground = points - self.light.direction * (points[:, 1:2] / max(0.12, float(self.light.direction[1])))
        cv2.fillConvexPoly(self.sun_map, cv2.convexHull(self.on_map(ground)), 1.0, shift=4)

    def settle(self, points: Array, strength: float = 1.0) -> None:
        """Darken the ground where something stands close above it: a convex outline (n, 3)."""
        cv2.fillConvexPoly(self.contact_map, cv2.convexHull(self.on_map(points)), strength, shift=4)

    def soften(self) -> None:
        """Blur the shadow maps; call once, after everything has cast its shadow."""
        for shadows, blur in ((self.sun_map, 1.2), (self.contact_map, 3.2)):
            cv2.GaussianBlur(shadows, (0, 0), blur, dst=shadows)

    # -- sky and backdrop ----------------------------------------------------------------------------------------

    def paint_sky(self, canvas: Canvas) -> None:
        """The sky, everywhere."""
        light = self.light
        canvas.label[:] = SKY
        rows = slice(0, int(np.nonzero((canvas.rays[..., 1] > 0).any(1))[0].max()) + 1)
        rays = canvas.rays[rows] / np.linalg.norm(canvas.rays[rows], axis=2, keepdims=True)
        up = np.clip(rays[..., 1], 0, 1)
        share = (1 - np.exp(-up * 3.2))[..., None]
        sky = light.horizon + (light.zenith - light.horizon) * share
        glow = np.clip(rays @ light.direction, 0, 1)
        sky += light.sun * (0.10 * glow**8 + 0.35 * glow**90)[..., None]
        high = 900 / np.maximum(up, 0.03)
        u, v = rays[..., 0] * high * 0.16 + self.offset[0], rays[..., 2] * high * 0.16 + self.offset[1]
        cloud = 0.65 * self.noise.soft(u, v) + 0.35 * self.noise.soft(u * 2.7, v * 2.7)
        cloud = smooth(0.92 - 0.75 * light.clouds, 1.25 - 0.75 * light.clouds, cloud) * smooth(0.02, 0.16, up)
        cover = cv2.GaussianBlur(cloud, (0, 0), 1.5)[..., None]
        white = light.horizon * 0.55 + light.sun * 0.16 + light.ambient * 0.25
        canvas.color[rows] = sky + (white - sky) * cover * 0.85

    def paint_backdrop(self, canvas: Canvas, rng: np.random.Generator) -> None:
        """Distant houses and trees along the horizon."""
        x = -320.0
        while x < 320:
            width, height, z = rng.uniform(14, 36), rng.uniform(5, 17), rng.uniform(160, 230)
            tone = self.light.shade(rgb(*rng.uniform(110, 190, 3)), np.array([0, 0, -1], np.float32))
            corners = [(x, -1, z), (x, height, z), (x + width, height, z), (x + width, -1, z)]
            canvas.polygon(np.array(corners, np.float32), tone, BUILDING)
            x += width * rng.uniform(0.6, 1.0)
        x = -260.0
        while x < 260:
            radius, z = rng.uniform(4, 8), rng.uniform(130, 155)
            angles = np.linspace(0, 2 * np.pi, 14, endpoint=False)
            wobble = radius * rng.uniform(0.85, 1.1, 14)
            around = np.stack(
                [x + wobble * np.cos(angles), 1.5 + 0.8 * wobble * np.sin(angles), 0 * angles + z], axis=1
            )
            tone = self.light.shade(self.grass * rng.uniform(0.5, 0.9), UP)
            canvas.polygon(around.astype(np.float32), tone.astype(np.float32), VEGETATION)
            x += radius * rng.uniform(0.7, 2.6)

    # -- ground --------------------------------------------------------------------------------------------------

    def paint_ground(self, canvas: Canvas) -> None:
        """Road, sidewalks and grass, down from the horizon."""
        rows, columns = np.nonzero(canvas.rays[..., 1] < -canvas.camera.position[1] / FAR)
        rays = canvas.rays[rows, columns]
        distance = -canvas.camera.position[1] / rays[:, 1]
        points = canvas.camera.position + distance[:, None] * rays
        label = self._ground_labels(points)
        albedo = np.empty_like(points)
        near = np.clip(1.25 - distance / 30, 0.15, 1).astype(np.float32)
        for kind, paint in ((ROAD, self._road), (SIDEWALK, self._sidewalk), (VEGETATION, self._lawn)):
            chosen = label == kind
            albedo[chosen] = paint(points[chosen], near[chosen])
        contact = 1 - 0.72 * self._look(self.contact_map, points)
        color = self.light.shade(albedo, UP, self.shadow(points)) * contact[:, None]
        canvas.color[rows, columns], canvas.label[rows, columns] = color, label
        canvas.distance[rows, columns] = distance

    def _ground_labels(self, points: Array) -> NDArray[np.uint8]:
        x, z = points[:, 0], points[:, 2]
        away = np.abs(x)
        verge = np.where(x > 0, self.verge[1], self.verge[0])
        label = np.full(len(points), SIDEWALK, np.uint8)
        label[(away > self.half + self.walk) & (away < self.half + self.walk + verge)] = VEGETATION
        label[away > self.half + self.walk + verge + 3] = VEGETATION
        label[(away < self.half) | ((z > self.crossing[0]) & (z < self.crossing[1]))] = ROAD
        label[(z > MAP_Z + 20) & (away > self.half)] = VEGETATION
        return label

    def _road(self, points: Array, near: Array) -> Array:
        x, z, noise = points[:, 0], points[:, 2], self.noise
        grain = noise.soft(x * 45, z * 45) - 0.5
        patch = noise.soft(x * 3.1 + 90, z * 3.1) - 0.5
        tone = 1 + near * 0.35 * grain + 0.3 * patch
        tone *= 1 - 0.10 * np.exp(-(((np.abs(np.abs(x) - self.half * 0.45) - 0.8) / 0.3) ** 2))
        tone *= self._manholes(x, z)
        crack = np.abs(noise.soft(x * 11 + 40, z * 6) - 0.5) < 0.012 * near
        tone = np.where(crack, tone * 0.6, tone)
        gutter = smooth(self.half - 0.35, self.half - 0.1, np.abs(x))
        color = self.asphalt * (tone * (1 - 0.25 * gutter))[:, None]
        mark, yellow = self._markings(x, z)
        worn = np.clip(mark * (0.55 + 0.6 * noise.soft(x * 20, z * 20)), 0, 0.9)[:, None]
        white = np.where(yellow[:, None], rgb(214, 168, 50), rgb(222, 222, 214))
        return np.asarray(color + (white - color) * worn, np.float32)

    def _manholes(self, x: Array, z: Array) -> Array:
        """Brightness of the iron covers in the road, 1 elsewhere; at most one in a cell of 3 m x 7 m."""
        u, v = np.asarray(x / 3 + self.offset[1], np.float32), np.asarray(z / 7, np.float32)
        from_middle = np.hypot((np.mod(u, 1) - 0.5) * 3, (np.mod(v, 1) - 0.5) * 7)
        iron = (from_middle < 0.36) & (self.noise.dice(u, v) > 0.8)
        pattern = np.where(np.abs(from_middle - 0.32) < 0.03, 0.5, 0.72)
        return np.asarray(np.where(iron, pattern, 1.0), np.float32)

    def _markings(self, x: Array, z: Array) -> tuple[Array, NDArray[np.bool_]]:
        outside = (z < self.crossing[0] - 0.4) | (z > self.crossing[1] + 0.4)
        zebra = (z > self.zebra) & (z < self.zebra + 3.2) & outside
        dash = (np.abs(x) < 0.08) & (np.mod(z, 7.0) < 3.2)
        if self.yellow:
            dash = np.abs(np.abs(x) - 0.14) < 0.06
        edge = np.abs(np.abs(x) - (self.half - 2.25)) < 0.06
        stop = (z > self.zebra - 1.6) & (z < self.zebra - 1.15) & (x > 0) & (x < self.half - 0.3)
        stripes = zebra & (np.mod(x + 0.3, 1.1) < 0.55) & (np.abs(x) < self.half - 0.2)
        lines = (dash | edge) & outside & ~zebra
        return (lines | stop | stripes).astype(np.float32), dash & self.yellow & ~stripes

    def _sidewalk(self, points: Array, near: Array) -> Array:
        x, z, noise = points[:, 0], points[:, 2], self.noise
        u, v = x / self.tile, z / self.tile
        tone = 1 + 0.22 * (noise.dice(u, v) - 0.5) * near + 0.25 * (noise.soft(x * 9, z * 9) - 0.5)
        joint = (np.mod(u, 1) < 0.05) | (np.mod(v, 1) < 0.05)
        tone = np.where(joint, tone * (1 - 0.35 * near), tone)
        color = self.paving * tone[:, None]
        curb = (np.abs(x) < self.half + 0.28)[:, None]
        stone = rgb(184, 182, 176) * (0.85 + 0.15 * np.where(np.mod(z, 1.0) < 0.04, 0, 1) * 1.0)[:, None]
        face = (np.abs(x) < self.half + 0.09)[:, None]
        return np.asarray(np.where(face, stone * 0.55, np.where(curb, stone, color)), np.float32)

    def _lawn(self, points: Array, near: Array) -> Array:
        x, z, noise = points[:, 0], points[:, 2], self.noise
        tone = 0.75 + 0.5 * noise.soft(x * 6, z * 6) + 0.5 * near * (noise.soft(x * 40, z * 14) - 0.5)
        dry = smooth(0.6, 0.9, noise.soft(x * 2, z * 2))[:, None]
        return np.asarray((self.grass + (rgb(140, 128, 74) - self.grass) * dry * 0.5) * tone[:, None], np.float32)

    # -- houses --------------------------------------------------------------------------------------------------

    def paint_houses(self, canvas: Canvas) -> None:
        """All houses, the far ones first."""
        for house in sorted(self.houses, key=lambda house: -house.start):
            style, side = Style(house.seed), house.side
            front, back = side * house.wall, side * (house.wall + 14)
            (low, high), z = (-0.05, house.height), (house.start, house.stop)
            depth = 1.2 if style.attic else 0.0
            end = [(front, low), (front, high - style.attic), (front + side * depth, high), (back, high), (back, low)]
            corners = np.array([(x, y, z[0]) for x, y in end], np.float32)
            canvas.polygon(corners, self._facade(house, style, end_wall=True), BUILDING)
            rows = [(front, low), (front, high - style.attic)]
            corners = np.array([(x, y, z[i ^ j]) for j, (x, y) in enumerate(rows) for i in (0, 1)], np.float32)
            canvas.polygon(corners, self._facade(house, style, end_wall=False), BUILDING)
            if style.attic:
                self._roof(canvas, house, style)
            if style.lets:
                self._awning(canvas, house, style)

    def _facade(self, house: House, style: Style, *, end_wall: bool) -> Paint:
        normal = np.array([0, 0, -1] if end_wall else [-house.side, 0, 0], np.float32)

        def paint(points: Array) -> Array:
            y = points[:, 1]
            u = house.side * points[:, 0] - house.wall if end_wall else points[:, 2] - house.start
            albedo = self._wall(style, u, y)
            if not end_wall or house.seed % 5:  # a few end walls are blank
                albedo = self._windows(style, house.height - style.attic, u, y, albedo)
            if not end_wall:
                albedo = self._ground_floor(style, u, y, albedo)
            shadow = self.house_shadow(points + 0.1 * normal)
            dim = 0.62 + 0.38 * smooth(-1, 9, y)
            return np.asarray(self.light.shade(albedo, normal, shadow) * dim[:, None], np.float32)

        return paint

    def _wall(self, style: Style, u: Array, y: Array) -> Array:
        noise, shift = self.noise, style.seed % 509
        tone = 0.86 + 0.28 * noise.soft(u * 5 + shift, y * 5) + 0.12 * (noise.soft(u * 40, y * 40) - 0.5)
        if style.brick:
            course = np.floor(y / 0.22)
            tone *= 0.84 + 0.32 * noise.dice((u + 0.25 * np.mod(course, 2)) / 0.5, course)
        streak = smooth(0.55, 0.95, noise.soft(u * 22 + shift, y * 1.2))
        tone *= 1 - 0.22 * streak
        tone *= 0.72 + 0.28 * smooth(0.0, 1.3, y)
        return np.asarray(style.wall * tone[:, None], np.float32)

    def _windows(self, style: Style, top: float, u: Array, y: Array, albedo: Array) -> Array:
        share, sill, head = style.window
        storey = np.floor((y - style.ground) / style.floor)
        up = (y - style.ground) / style.floor - storey
        bay = np.floor(u / style.bay)
        across = np.abs(u / style.bay - bay - 0.5)
        floors = np.floor((top - 0.5 - style.ground) / style.floor)
        there = (storey >= 0) & (storey < floors)
        inside = there & (across < share / 2) & (up > sill) & (up < head)
        border = (across > share / 2 - 0.035) | (across < 0.014) | (up > head - 0.04) | (up < sill + 0.03)
        glass = self._glass(bay + style.seed % 211, storey, (up - sill) / (head - sill))
        out = np.where((there & (up < 0.05))[:, None], style.trim, albedo)
        ledge = there & (across < share / 2 + 0.05) & (up > sill - 0.06) & (up < sill)
        out = np.where(ledge[:, None], style.trim * 1.1, out)
        lintel = there & (across < share / 2 + 0.04) & (up >= head) & (up < head + 0.05)
        out = np.where(lintel[:, None], style.trim * 0.8, out)
        out = np.where(inside[:, None], np.where(border[:, None], style.frame, glass), out)
        if style.balcony:
            rail = there & (across < 0.42) & (up > 0.02) & (up < 0.3) & (np.mod(u * 7, 1) < 0.45)
            rail |= there & (across < 0.43) & (np.abs(up - 0.31) < 0.02)
            rail &= self.noise.dice(bay + 7, storey + style.seed % 97) > 0.35
            out = np.where(rail[:, None], rgb(40, 42, 46), out)
        cornice = smooth(top - 0.55, top - 0.5, y)[:, None] * np.float32(1)
        out = out + (style.trim - out) * cornice
        under = (y > top - 0.75) & (y < top - 0.55)
        return np.asarray(np.where(under[:, None], out * 0.55, out), np.float32)

    def _glass(self, column: Array, row: Array, up: Array) -> Array:
        chance = self.noise.dice(column, row)
        dark = rgb(46, 56, 66) * (0.5 + 1.3 * self.noise.dice(column + 31, row + 17))[:, None]
        glass = dark + self.light.horizon * (0.10 * chance * (0.4 + up))[:, None]
        curtain = (chance > 0.62) & (up > 2.2 * (0.95 - chance))
        glass = np.where(curtain[:, None], rgb(190, 180, 160) * 0.6, glass)
        return np.asarray(glass * (1 - 0.55 * (up > 0.86))[:, None], np.float32)

    def _ground_floor(self, style: Style, u: Array, y: Array, albedo: Array) -> Array:
        low, ground = y < style.ground, style.ground
        width = style.bay * 1.6
        bay = np.floor(u / width)
        across = np.abs(u / width - bay - 0.5)
        if not style.lets:
            glass = self._glass(bay, bay * 0 + 3, (y - 1.0) / 1.6)
            window = (across < 0.22) & (y > 1.0) & (y < ground - 0.8)
            door = (np.mod(bay, 3) == 1) & (across < 0.2) & (y < ground - 0.9)
            out = np.where(window[:, None], glass, albedo)
            out = np.where(door[:, None], rgb(84, 56, 40), out)
            out = np.where((y < 0.6)[:, None] & ~door[:, None], albedo * 0.6, out)
        else:
            glass = self._glass(bay, bay * 0 + 5, (y - 0.4) / 2.6)
            pane = (across < 0.44) & (y > 0.45) & (y < ground - 1.0)
            goods = smooth(0.45, 0.7, self.noise.soft(u * 30, y * 30)) * (y < 1.6)
            glass = glass + rgb(220, 170, 110) * (0.35 * goods)[:, None]
            sign = (y > ground - 0.95) & (y < ground - 0.25)
            letters = sign & (np.abs(y - ground + 0.6) < 0.17) & (across < 0.3)
            letters &= (np.mod(u * 3.1, 1) < 0.62) & (self.noise.dice(u * 12, y * 12) > 0.3)
            out = np.where(pane[:, None], glass, style.trim * 0.75)
            out = np.where(sign[:, None], style.shop, out)
            out = np.where(letters[:, None], rgb(240, 235, 220), out)
        return np.asarray(np.where(low[:, None], out, albedo), np.float32)

    def _roof(self, canvas: Canvas, house: House, style: Style) -> None:
        side, foot = house.side, house.height - style.attic
        x = (side * house.wall, side * (house.wall + 1.2))
        corners = [(x[0], foot, house.start), (x[0], foot, house.stop)]
        corners += [(x[1], house.height, house.stop), (x[1], house.height, house.start)]
        normal = np.array([-side * style.attic, 1.2, 0], np.float32) / np.float32(np.hypot(style.attic, 1.2))

        def paint(points: Array) -> Array:
            u, y = points[:, 2] - house.start, points[:, 1]
            course = np.floor(y / 0.25)
            tone = 0.8 + 0.4 * self.noise.dice(u / 0.35 + 0.5 * np.mod(course, 2), course)
            albedo = style.roof * tone[:, None]
            bay = u / (style.bay * 1.5)
            dormer = (np.abs(np.mod(bay, 1) - 0.5) < 0.17) & (np.abs((y - foot) / style.attic - 0.48) < 0.28)
            rim = np.abs(np.mod(bay, 1) - 0.5) > 0.13
            glass = np.where(rim[:, None], style.trim, self._glass(np.floor(bay), bay * 0, bay * 0 + 0.5))
            albedo = np.where(dormer[:, None], glass, albedo)
            return self.light.shade(albedo, normal, self.house_shadow(points))

        canvas.polygon(np.array(corners, np.float32), paint, BUILDING)

    def _awning(self, canvas: Canvas, house: House, style: Style) -> None:
        width = style.bay * 1.6
        color, light = style.shop, rgb(230, 224, 210)
        normal = np.array([-house.side * 0.45, 0.89, 0], np.float32)

        def paint(points: Array) -> Array:
            stripes = np.mod(points[:, 2] * 1.6, 1) < 0.5
            return self.light.shade(
                np.where(stripes[:, None], color, light), normal, self.house_shadow(points + 0.2 * normal)
            )

        top, low = style.ground - 0.95, style.ground - 1.55
        for bay in reversed(range(int((house.stop - house.start) / width))):
            if self.noise.dice(vec(bay), vec(house.seed % 401))[0] < 0.55:
                continue
            z = (house.start + (bay + 0.06) * width, house.start + (bay + 0.94) * width)
            x = (house.side * house.wall, house.side * (house.wall - 1.1))
            corners = [(x[0], top, z[0]), (x[0], top, z[1]), (x[1], low, z[1]), (x[1], low, z[0])]
            canvas.polygon(np.array(corners, np.float32), paint, BUILDING)
            drop = [(x[1], low, z[0]), (x[1], low, z[1]), (x[1], low - 0.22, z[1]), (x[1], low - 0.22, z[0])]
            canvas.polygon(np.array(drop, np.float32), paint, BUILDING)
