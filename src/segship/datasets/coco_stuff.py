"""COCO-Stuff: things and stuff in 171 classes, the full set and its older part of 10 000 images.

https://github.com/nightrome/cocostuff
"""

from __future__ import annotations

from segship.datasets.layout import LabelFile, Layout, Split, split_table

__all__ = ["LAYOUTS"]

_CLASSES, _PALETTE = split_table("""
00c040 person
00c040 bicycle
004060 car
80c0c0 motorcycle
004040 airplane
00c0e0 bus
00c0c0 train
80c040 truck
00c060 boat
80c040 traffic light
8020c0 fire hydrant
0000e0 stop sign
000040 parking meter
00a0c0 bench
800060 bird
8000c0 cat
0020c0 dog
8080e0 horse
0000c0 sheep
80a0c0 cow
808000 elephant
800020 bear
802000 zebra
800080 giraffe
408020 backpack
00a000 umbrella
000000 handbag
c080a0 tie
002000 suitcase
008080 frisbee
4080a0 skis
80a000 snowboard
008000 sports ball
c08020 kite
806080 baseball bat
000080 baseball glove
400020 skateboard
00e080 surfboard
800000 tennis racket
c000a0 bottle
006080 wine glass
808080 cup
4000a0 fork
80e080 knife
808040 spoon
c00020 bowl
806000 banana
8000c0 apple
008020 sandwich
40e000 orange
000040 broccoli
8080a0 carrot
406000 hot dog
0080c0 pizza
0080a0 donut
c0e000 cake
008040 chair
808020 couch
c02080 potted plant
0040c0 bed
000020 dining table
40a080 toilet
804040 tv
8000a0 laptop
402080 mouse
80c0c0 remote
0000a0 keyboard
c0a080 cell phone
80c000 microwave
800060 oven
c02000 toaster
804080 sink
408060 refrigerator
40a000 book
004000 clock
c080e0 vase
402000 scissors
00c080 teddy bear
4080e0 hair drier
c0a000 toothbrush
00c000 banner
c08060 blanket
c06080 branch
004080 bridge
400060 building-other
40e080 bush
804000 cabinet
c000e0 cage
406080 cardboard
80c080 carpet
4000e0 ceiling-other
c0e080 ceiling-tile
80c040 cloth
c00060 clothes
c06000 clouds
8040c0 counter
008060 cupboard
00e000 curtain
404040 desk-stuff
8080e0 dirt
006000 door-stuff
40c0c0 fence
0080e0 floor-marble
80e000 floor-other
40c040 floor-stone
808060 floor-tile
802080 floor-wood
4000c0 flower
004060 fog
00a080 food-other
c00040 fruit
8040e0 furniture-other
002080 grass
c080c0 gravel
0040e0 ground-other
80a080 hill
c08000 house
804020 leaves
802040 light
c00080 mat
40c020 metal
00a040 mirror-stuff
400000 moss
c0c0a0 mountain
002040 mud
408080 napkin
40c0a0 net
80a040 paper
408000 pavement
c0c020 pillow
8060c0 plant-other
400080 plastic
404020 platform
00e0c0 playingfield
c00000 railing
c040a0 railroad
0060c0 river
c08080 road
4040a0 rock
80e0c0 roof
c08040 rug
c04020 salad
806040 sand
c000c0 sea
00c020 shelf
40e040 sky-other
400040 skyscraper
80c0a0 snow
406040 solid-other
4080c0 stairs
00c0a0 stone
c0e040 straw
408040 structural-other
80c020 table
c020c0 tent
4040c0 textile-other
004020 towel
40a0c0 tree
c04040 vegetable
8040a0 wall-brick
4020c0 wall-concrete
c0c0c0 wall-other
0040a0 wall-panel
c0a0c0 wall-stone
c0c000 wall-tile
804060 wall-wood
c02040 water-other
c04080 waterdrops
40c060 window-blind
40a040 window-other
404000 wood
""")

_UNUSED = (11, 25, 28, 29, 44, 65, 67, 68, 70, 82, 90)  # of the 182 numbers that were planned, 171 occur
_USED = [number for number in range(182) if number not in _UNUSED]

LAYOUTS = {
    "coco_stuff164k": Layout(
        title="COCO-Stuff 164k",
        classes=_CLASSES,
        palette=_PALETTE,
        mmseg_types=("COCOStuffDataset",),
        label_suffix="_labelTrainIds.png",
        splits={
            "train": Split("images/train2017", "annotations/train2017"),
            "val": Split("images/val2017", "annotations/val2017"),
        },
        published=(LabelFile(".png", {number: label for label, number in enumerate(_USED)}),),
    ),
    "coco_stuff10k": Layout(
        title="COCO-Stuff 10k",
        classes=_CLASSES,
        palette=_PALETTE,
        label_suffix="_labelTrainIds.png",
        splits={
            "train": Split("images/train2014", "annotations/train2014"),
            "test": Split("images/test2014", "annotations/test2014"),
        },
        reduce_zero_label=True,
    ),
}
