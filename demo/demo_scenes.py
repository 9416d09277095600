"""Draw street scenes with their labels: the pictures that the demo's network is trained and evaluated on.

``python demo/demo_scenes.py --seed 100 --count 4 --to DIR`` writes a few to look at.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from demo_objects import Crown, Person, Vehicle
from demo_paint import Array, Camera, Canvas, Light, Noise, rgb
from demo_street import BUILDING, PERSON, ROAD, SIDEWALK, SKY, VEGETATION, VEHICLE, Street

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["CLASSES", "PALETTE", "Scene", "draw_scene"]

_NAMED = {
    ROAD: ("road", (128, 64, 128)),
    SIDEWALK: ("sidewalk", (244, 35, 232)),
    BUILDING: ("building", (70, 70, 70)),
    VEGETATION: ("vegetation", (107, 142, 35)),
    SKY: ("sky", (70, 130, 180)),
    PERSON: ("person", (220, 20, 60)),
    VEHICLE: ("vehicle", (0, 0, 142)),
}
CLASSES = tuple(_NAMED[index][0] for index in range(len(_NAMED)))
PALETTE = tuple(_NAMED[index][1] for index in range(len(_NAMED)))

FACTOR = 2  # the canvas is this many times as large as the picture
_NOISE = Noise(7)


@dataclass(frozen=True)
class Scene:
    """A picture and its truth.

    Attributes:
        image: uint8 (H, W, 3), RGB.
        label: uint8 (H, W), indices into ``CLASSES``.
    """

    image: NDArray[np.uint8]
    label: NDArray[np.uint8]


def draw_scene(seed: int, height: int = 256, width: int = 512) -> Scene:
    """Draw one street.

    Args:
        seed: Chooses everything; the same seed gives the same picture.
        height: In pixels.
        width: In pixels.
    """
    rng = np.random.default_rng([2026, seed])
    light, exposure = _light(rng)
    street = Street(rng, light, _NOISE)
    camera = _camera(rng, street, height * FACTOR, width * FACTOR)
    things = _things(rng, street, camera)
    for thing in things:
        thing.cast(street)
    street.soften()
    canvas = Canvas(camera, light)
    street.paint_sky(canvas)
    street.paint_backdrop(canvas, rng)
    street.paint_ground(canvas)
    street.paint_houses(canvas)
    for thing in sorted(things, key=lambda thing: -thing.depth):
        thing.paint(canvas, street)
    image, label = canvas.develop(rng, FACTOR, exposure)
    return Scene(image, label)


def _light(rng: np.random.Generator) -> tuple[Light, float]:
    """Time of day and weather, and the exposure that suits them."""
    weather = rng.choice(["noon", "noon", "afternoon", "golden", "overcast", "haze"])
    low, high, sun, zenith, horizon, ambient, haze, clouds = {
        "noon": (40, 62, (3.4, 3.2, 2.9), (40, 104, 196), (176, 208, 236), (0.62, 0.72, 0.9), 0.0012, 0.45),
        "afternoon": (24, 40, (3.4, 2.9, 2.3), (52, 110, 190), (206, 214, 222), (0.56, 0.64, 0.8), 0.002, 0.5),
        "golden": (11, 20, (3.6, 2.2, 1.1), (74, 110, 170), (250, 206, 150), (0.52, 0.5, 0.6), 0.004, 0.45),
        "overcast": (35, 60, (0.5, 0.5, 0.5), (166, 174, 184), (214, 218, 222), (1.05, 1.1, 1.15), 0.003, 0.95),
        "haze": (20, 45, (1.6, 1.5, 1.35), (160, 180, 202), (218, 220, 220), (0.9, 0.92, 0.96), 0.009, 0.3),
    }[str(weather)]
    elevation = np.radians(rng.uniform(low, high))
    azimuth = rng.uniform(-np.pi, np.pi)
    direction = [np.sin(azimuth) * np.cos(elevation), np.sin(elevation), np.cos(azimuth) * np.cos(elevation)]
    light = Light(
        direction=np.array(direction, np.float32),
        sun=np.array(sun, np.float32) * np.float32(rng.uniform(0.85, 1.15)),
        zenith=rgb(*zenith),
        horizon=rgb(*horizon) * np.float32(rng.uniform(0.9, 1.1)),
        ambient=np.array(ambient, np.float32) * np.float32(rng.uniform(0.85, 1.15)),
        haze=float(haze * rng.uniform(0.7, 1.3)),
        clouds=float(np.clip(clouds * rng.uniform(0.6, 1.3), 0, 1)),
    )
    return light, float(rng.uniform(0.62, 0.85) * (1.3 if weather == "golden" else 1.0))


def _camera(rng: np.random.Generator, street: Street, height: int, width: int) -> Camera:
    # Mostly in the right lane of the road, at times on a sidewalk, as somebody with a telephone.
    x = rng.uniform(0.15, 0.6) * street.half
    if rng.random() < 0.2:
        x = rng.choice([-1, 1]) * (street.half + 0.5 * street.walk)
    return Camera(
        height=height,
        width=width,
        focal=float(width * rng.uniform(0.6, 0.82)),
        position=np.array([x, rng.uniform(1.35, 2.1), 0.0], np.float32),
        yaw=float(np.clip(rng.normal(-0.02 * x, 0.07), -0.2, 0.2)),
        pitch=float(rng.uniform(-0.01, 0.07)),
    )


def _things(rng: np.random.Generator, street: Street, camera: Camera) -> list[Vehicle | Person | Crown]:
    vehicles = _traffic(rng, street, camera) + _parked(rng, street, camera)
    return [*vehicles, *_persons(rng, street, camera, vehicles), *_green(rng, street, camera)]


def _kind(rng: np.random.Generator) -> str:
    return str(rng.choice(["sedan", "hatchback", "suv", "van", "bus"], p=[0.34, 0.27, 0.22, 0.12, 0.05]))


def _clear(x: float, camera: Camera) -> float:
    """How far ahead of the camera something at ``x`` may begin."""
    return 7.0 if abs(x - camera.position[0]) < 2.2 else 3.2


def _traffic(rng: np.random.Generator, street: Street, camera: Camera) -> list[Vehicle]:
    found = []
    lane = 0.36 * street.half
    for x, away in ((lane, True), (-lane, False)):
        z = _clear(x, camera) + rng.uniform(0, 14)
        while z < 90 and rng.random() < 0.72:
            kind = _kind(rng)
            found.append(Vehicle(rng, kind, x + rng.uniform(-0.2, 0.2), z, away=away))
            z += found[-1].shape.length + rng.uniform(4, 22)
    return found


def _parked(rng: np.random.Generator, street: Street, camera: Camera) -> list[Vehicle]:
    found = []
    for side in (-1, 1):
        if street.half < 4.9 or rng.random() < 0.2:
            continue
        x = side * (street.half - 1.15)
        z = _clear(x, camera) + rng.uniform(0, 8)
        while z < 80:
            car = Vehicle(
                rng, str(rng.choice(["sedan", "hatchback", "suv", "van"], p=[0.4, 0.3, 0.2, 0.1])), x, z, away=side > 0
            )
            free = z > street.crossing[1] + 1 or z + car.shape.length < street.crossing[0] - 1
            on_zebra = z < street.zebra + 3.5 and z + car.shape.length > street.zebra - 0.5
            if free and not on_zebra and rng.random() < 0.72:
                found.append(car)
            z += car.shape.length + rng.uniform(0.7, 2.2)
    return found


def _persons(rng: np.random.Generator, street: Street, camera: Camera, vehicles: list[Vehicle]) -> list[Person]:
    found = []
    for _ in range(int(rng.integers(4, 13))):
        side = int(rng.choice([-1, 1]))
        x, z = side * (street.half + rng.uniform(0.5, street.walk - 0.3)), float(rng.gamma(2.2, 3.0) + 3.8)
        if rng.random() < 0.25:
            x, z = rng.uniform(-street.half, street.half), street.zebra + rng.uniform(0.4, 2.8)
        free = all(abs(x - car.x) > 1.4 or not car.z - 0.7 < z < car.z + car.shape.length + 0.7 for car in vehicles)
        if free and z > 4.5 and abs(x - camera.position[0]) > 0.12 * z:
            found.append(Person(rng, x, z))
            if rng.random() < 0.25:
                found.append(Person(rng, x + rng.uniform(0.45, 0.7), z + rng.uniform(-0.2, 0.2)))
    return found


def _green(rng: np.random.Generator, street: Street, camera: Camera) -> list[Crown]:
    autumn = rng.random() < 0.15
    low, high = ((150, 96, 30), (190, 130, 50)) if autumn else ((64, 92, 30), (104, 134, 58))
    leaf = rgb(*rng.uniform(low, high))
    found = []
    for side in (-1, 1):
        verge = street.verge[side > 0]
        if rng.random() < (0.8 if verge else 0.5):
            found += _alley(rng, street, side, leaf)
        if verge:
            found += _bushes(rng, street, side, leaf)
    if abs(camera.position[0]) > street.half:  # on the sidewalk no trunk may stand right before the camera
        found = [crown for crown in found if crown.z > 7 or crown.x * camera.position[0] < 0]
    for side in (-1, 1):
        for _ in range(int(rng.integers(2, 6))):
            x, z = side * (street.wall(side) + rng.uniform(5, 12)), rng.uniform(95, 135)
            found.append(Crown(rng, x, z, rng.uniform(4, 6), (rng.uniform(3, 5), rng.uniform(3, 5)), leaf))
    return found


def _alley(rng: np.random.Generator, street: Street, side: int, leaf: Array) -> list[Crown]:
    found = []
    x, z = side * (street.half + 0.75), rng.uniform(4, 12)
    gap, middle = rng.uniform(6, 13), rng.uniform(3.6, 4.8)
    while z < 90:
        radii = (rng.uniform(1.2, 1.9), rng.uniform(1.2, 2.0))
        if not street.crossing[0] - 2 < z < street.crossing[1] + 2:
            found.append(Crown(rng, x, z, middle + rng.uniform(-0.3, 0.5), radii, leaf))
        z += gap * rng.uniform(0.8, 1.3)
    return found


def _bushes(rng: np.random.Generator, street: Street, side: int, leaf: Array) -> list[Crown]:
    found = []
    x, z = side * (street.half + street.walk + 0.5 * street.verge[side > 0]), rng.uniform(5, 9)
    while z < 60:
        tall = rng.uniform(0.45, 0.85)
        if not street.crossing[0] - 1.5 < z < street.crossing[1] + 1.5:
            found.append(Crown(rng, x, z, 0.8 * tall, (rng.uniform(0.5, 0.95), tall), leaf * np.float32(0.85)))
        z += rng.uniform(1.0, 3.5)
    return found


def main() -> None:
    """Write pictures and coloured labels side by side."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=4)
    parser.add_argument("--size", type=int, nargs=2, default=(256, 512), metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--to", type=Path, required=True)
    options = parser.parse_args()
    options.to.mkdir(parents=True, exist_ok=True)
    for seed in range(options.seed, options.seed + options.count):
        scene = draw_scene(seed, *options.size)
        both = np.concatenate([scene.image, np.array(PALETTE, np.uint8)[scene.label]], axis=1)
        cv2.imwrite(str(options.to / f"scene_{seed:04}.png"), both[..., ::-1])


if __name__ == "__main__":
    main()
