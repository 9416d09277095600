"""Mapillary Vistas 1.2: street scenes from all over the world, 66 classes.

https://www.mapillary.com/dataset/vistas
"""

from __future__ import annotations

from segship.datasets.layout import Layout, Split, split_table

__all__ = ["LAYOUTS"]

_CLASSES, _PALETTE = split_table("""
a52a2a Bird
00c000 Ground Animal
c4c4c4 Curb
be9999 Fence
b4a5b4 Guard Rail
5a7896 Barrier
66669c Wall
8040ff Bike Lane
8c8cc8 Crosswalk - Plain
aaaaaa Curb Cut
faaaa0 Parking
606060 Pedestrian Area
e6968c Rail Track
804080 Road
6e6e6e Service Lane
f423e8 Sidewalk
966464 Bridge
464646 Building
96785a Tunnel
dc143c Person
ff0000 Bicyclist
ff0064 Motorcyclist
ff00c8 Other Rider
c88080 Lane Marking - Crosswalk
ffffff Lane Marking - General
40aa40 Mountain
e6a032 Sand
4682b4 Sky
beffff Snow
98fb98 Terrain
6b8e23 Vegetation
00aa1e Water
ffff80 Banner
fa001e Bench
648cb4 Bike Rack
dcdcdc Billboard
dc8080 Catch Basin
de2828 CCTV Camera
64aa1e Fire Hydrant
282828 Junction Box
212121 Mailbox
6480a0 Manhole
8e0000 Phone Booth
466496 Pothole
d2aa64 Street Light
999999 Pole
808080 Traffic Sign Frame
000050 Utility Pole
faaa1e Traffic Light
c0c0c0 Traffic Sign (Back)
dcdc00 Traffic Sign (Front)
8c8c14 Trash Can
770b20 Bicycle
9600ff Boat
003c64 Bus
00008e Car
00005a Caravan
0000e6 Motorcycle
005064 On Rails
804040 Other Vehicle
00006e Trailer
000046 Truck
0000c0 Wheeled Slow
202020 Car Mount
780a0a Ego Vehicle
000000 Unlabeled
""")

LAYOUTS = {
    "mapillary_v1": Layout(
        title="Mapillary Vistas 1.2",
        classes=_CLASSES,
        palette=_PALETTE,
        mmseg_types=("MapillaryDataset_v1",),
        splits={
            "train": Split("training/images", "training/v1.2/labels"),
            "val": Split("validation/images", "validation/v1.2/labels"),
        },
    ),
}
