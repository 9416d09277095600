"""Mapillary Vistas 2.0: street scenes from all over the world, 124 classes.

https://www.mapillary.com/dataset/vistas
"""

from __future__ import annotations

from segship.datasets.layout import Layout, Split, split_table

__all__ = ["LAYOUTS"]

_CLASSES, _PALETTE = split_table("""
a52a2a Bird
00c000 Ground Animal
faaa1f Ambiguous Barrier
faaa20 Concrete Block
c4c4c4 Curb
be9999 Fence
b4a5b4 Guard Rail
5a7896 Barrier
faaa21 Road Median
faaa22 Road Side
808080 Lane Separator
faaa23 Temporary Barrier
66669c Wall
8040ff Bike Lane
8c8cc8 Crosswalk - Plain
aaaaaa Curb Cut
faaa24 Driveway
faaaa0 Parking
faaa25 Parking Aisle
606060 Pedestrian Area
e6968c Rail Track
804080 Road
6e6e6e Road Shoulder
6e6e6e Service Lane
f423e8 Sidewalk
80c480 Traffic Island
966464 Bridge
464646 Building
969696 Garage
96785a Tunnel
dc143c Person
dc143c Person Group
ff0000 Bicyclist
ff0064 Motorcyclist
ff00c8 Other Rider
ffffff Lane Marking - Dashed Line
ffffff Lane Marking - Straight Line
faaa1d Lane Marking - Zigzag Line
faaa1c Lane Marking - Ambiguous
faaa1a Lane Marking - Arrow (Left)
faaa19 Lane Marking - Arrow (Other)
faaa18 Lane Marking - Arrow (Right)
faaa16 Lane Marking - Arrow (Split Left or Straight)
faaa15 Lane Marking - Arrow (Split Right or Straight)
faaa14 Lane Marking - Arrow (Straight)
ffffff Lane Marking - Crosswalk
faaa13 Lane Marking - Give Way (Row)
faaa12 Lane Marking - Give Way (Single)
faaa0c Lane Marking - Hatched (Chevron)
faaa0b Lane Marking - Hatched (Diagonal)
ffffff Lane Marking - Other
ffffff Lane Marking - Stop Line
faaa10 Lane Marking - Symbol (Bicycle)
faaa0f Lane Marking - Symbol (Other)
faaa0f Lane Marking - Text
ffffff Lane Marking (only) - Dashed Line
ffffff Lane Marking (only) - Crosswalk
ffffff Lane Marking (only) - Other
ffffff Lane Marking (only) - Test
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
dc8080 Catch Basin
de2828 CCTV Camera
64aa1e Fire Hydrant
282828 Junction Box
212121 Mailbox
6480a0 Manhole
1414ff Parking Meter
8e0000 Phone Booth
466496 Pothole
faab1e Signage - Advertisement
faac1e Signage - Ambiguous
faad1e Signage - Back
faae1e Signage - Information
faaf1e Signage - Other
fab01e Signage - Store
d2aa64 Street Light
999999 Pole
999999 Pole Group
808080 Traffic Sign Frame
000050 Utility Pole
d23c3c Traffic Cone
faaa1e Traffic Light - General (Single)
faaa1e Traffic Light - Pedestrians
faaa1e Traffic Light - General (Upright)
faaa1e Traffic Light - General (Horizontal)
faaa1e Traffic Light - Cyclists
faaa1e Traffic Light - Other
c0c0c0 Traffic Sign - Ambiguous
c0c0c0 Traffic Sign (Back)
c0c0c0 Traffic Sign - Direction (Back)
dcdc00 Traffic Sign - Direction (Front)
dcdc00 Traffic Sign (Front)
0000c4 Traffic Sign - Parking
c0c0c0 Traffic Sign - Temporary (Back)
dcdc00 Traffic Sign - Temporary (Front)
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
00008e Vehicle Group
0000c0 Wheeled Slow
aaaaaa Water Valve
202020 Car Mount
6f4a00 Dynamic
780a0a Ego Vehicle
510051 Ground
6f6f00 Static
000000 Unlabeled
""")

LAYOUTS = {
    "mapillary_v2": Layout(
        title="Mapillary Vistas 2.0",
        classes=_CLASSES,
        palette=_PALETTE,
        mmseg_types=("MapillaryDataset_v2",),
        splits={
            "train": Split("training/images", "training/v2.0/labels"),
            "val": Split("validation/images", "validation/v2.0/labels"),
        },
    ),
}
