"""CamVid: driving scenes, the eleven classes that most papers use.

http://mi.eng.cam.ac.uk/research/projects/VideoRec/CamVid/

The release labels 32 classes by colour. Eleven groups of them are SegNet's classes (arXiv:1511.00561), as are the parts
``train``, ``val`` and ``test``: runs of the four films.
"""

from __future__ import annotations

from segship.datasets.layout import LabelFile, Layout, Split, split_table

__all__ = ["LAYOUTS"]

_CLASSES, _PALETTE = split_table("""
808080 sky
800000 building
c0c080 pole
804080 road
3c28de pavement
808000 tree
c08080 sign
404080 fence
400080 car
404000 pedestrian
0080c0 bicyclist
""")

# Colour, name in the release, and the class it belongs to; black (Void) is ignored.
_RELEASE = """
408040 Animal            pedestrian
c00080 Archway           building
0080c0 Bicyclist         bicyclist
008040 Bridge            building
800000 Building          building
400080 Car               car
4000c0 CartLuggagePram   pedestrian
c08040 Child             pedestrian
c0c080 Column_Pole       pole
404080 Fence             fence
8000c0 LaneMkgsDriv      road
c00040 LaneMkgsNonDriv   road
808040 Misc_Text         sign
c000c0 MotorcycleScooter bicyclist
804040 OtherMoving       car
40c080 ParkingBlock      pavement
404000 Pedestrian        pedestrian
804080 Road              road
8080c0 RoadShoulder      pavement
0000c0 Sidewalk          pavement
c08080 SignSymbol        sign
808080 Sky               sky
4080c0 SUVPickupTruck    car
000040 TrafficCone       pole
004040 TrafficLight      sign
c04080 Train             car
808000 Tree              tree
c080c0 Truck_Bus         car
400040 Tunnel            building
c0c000 VegetationMisc    tree
40c000 Wall              building
"""

_NAMES, _SHADES = split_table(_RELEASE)
_COLOURS = tuple(
    (shade, _CLASSES.index(name.split()[1]))
    for name, shade in zip(_NAMES, _SHADES, strict=True)
    if shade not in _PALETTE
)

_FOLDERS = ("701_StillsRaw_full", "LabeledApproved_full")
_TRAIN = (
    ("0001TP_006690", "0001TP_008520"),
    ("0006R0_f00930", "0006R0_f03930"),
    ("0016E5_00390", "0016E5_07920"),
    ("0016E5_08190", "0016E5_08640"),
)

LAYOUTS = {
    "camvid": Layout(
        title="CamVid",
        classes=_CLASSES,
        palette=_PALETTE,
        image_suffix=".png",
        splits={
            "train": Split("img_dir/train", "ann_dir/train"),
            "val": Split("img_dir/val", "ann_dir/val"),
            "test": Split("img_dir/test", "ann_dir/test"),
        },
        published=(LabelFile("_L.png"),),
        colours=_COLOURS,
    ),
    "camvid_raw": Layout(
        title="CamVid as it was published",
        classes=_CLASSES,
        palette=_PALETTE,
        image_suffix=".png",
        label_suffix="_L.png",
        splits={
            "train": Split(*_FOLDERS, ranges=_TRAIN),
            "val": Split(*_FOLDERS, ranges=(("0016E5_07959", "0016E5_08159"),)),
            "test": Split(*_FOLDERS, ranges=(("0001TP_008550", "0001TP_010380"), ("Seq05VD_f00000", "Seq05VD_f05100"))),
        },
        colours=_COLOURS,
    ),
}
