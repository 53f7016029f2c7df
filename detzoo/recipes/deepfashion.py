"""DeepFashion In-shop (Liu et al., CVPR 2016): fifteen kinds of clothes and body parts with masks."""

from __future__ import annotations

from detzoo.detector import Input
from detzoo.recipes.classes import DEEPFASHION_CLASSES
from detzoo.recipes.columns import mask_rcnn, row
from detzoo.recipes.recipe import Published
from detzoo.recipes.settings import Data, Schedule, Split

DEEPFASHION = Data(
    root="data/DeepFashion/In-shop",
    train=(Split(annotations="Anno/segmentation/DeepFashion_segmentation_train.json", images="Img"),),
    val=(Split(annotations="Anno/segmentation/DeepFashion_segmentation_query.json", images="Img"),),
    classes=DEEPFASHION_CLASSES,
    masks=True,
    repeat=2,
)

RECIPES = (
    row(
        name="mask_rcnn_r50_fpn_15e_deepfashion",
        model=mask_rcnn(input=Input(short=750, long=1101)),
        data=DEEPFASHION,
        schedule=Schedule(epochs=15, milestones=(8, 11), lr=0.02),
        published=Published(box_ap=59.9, mask_ap=58.4),
        weights="https://drive.google.com/open?id=1q6zF7J6Gb-FFgM87oIORIt6uBozaXp5r",
        config="deepfashion/mask-rcnn_r50_fpn_15e_deepfashion.py",
    ),
)
