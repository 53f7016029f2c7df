"""One-stage detectors from MMDetection's settings."""

from __future__ import annotations

from detzoo.detector import Input
from detzoo.interop.mmdet import learning, parts
from detzoo.interop.mmdet.parts import MOST_CHANNELS, MOST_LAYERS
from detzoo.interop.mmdet.section import LARGEST, Section
from detzoo.methods.retinanet import RetinaNet


def retinanet(model: Section, input: Input) -> tuple[RetinaNet.Config, int]:
    """Settings and number of classes of a ``RetinaNet``."""
    with model as given:
        backbone, features = parts.resnet(given.section("backbone"))
        neck, features = parts.fpn(given.section("neck"), features)
        with (
            given.section("bbox_head") as head,
            given.section("train_cfg", {}, training=True) as train,
            given.section("test_cfg") as test,
        ):
            head.kinds("RetinaHead")
            parts.derived(head, "in_channels", features.channels[0])
            head.fixed("conv_cfg")
            head.ignore("init_cfg")  # where training began
            parts.fixed_coder(head, (1.0, 1.0, 1.0, 1.0))
            with head.section("loss_cls") as loss:
                loss.kinds("FocalLoss")
                loss.fixed("use_sigmoid", True)
                loss.training = True
                loss.fixed("loss_weight", 1.0)
                loss.fixed("reduction", "mean")
                alpha, gamma = loss.number("alpha", 0.25), loss.number("gamma", 2.0)
            default = parts.anchor_defaults(octave_base_scale=4, scales_per_octave=3, strides=[8, 16, 32, 64, 128])
            match = RetinaNet.Head().match
            if train.has("assigner"):
                match = learning.match(train, match)
            if train.has("sampler"):
                with train.section("sampler") as sampler:
                    learning.known(sampler, "PseudoSampler")
            learning.anchors_of_image(train)
            # None of published models has another; -1 would keep boxes without any area
            test.fixed("min_bbox_size", 0, -1)
            candidates = test.whole("nms_pre", -1)
            settings = RetinaNet.Head(
                convs=head.whole("stacked_convs", 4, MOST_LAYERS),
                channels=head.whole("feat_channels", 256, MOST_CHANNELS),
                norm=parts.norm(head),
                anchors=parts.anchors(head.section("anchor_generator", default), features),
                match=match,
                alpha=alpha,
                gamma=gamma,
                box_loss=learning.box_loss(head, {"type": "SmoothL1Loss", "beta": 1 / 9}),
                candidates=candidates if candidates > 0 else LARGEST,
                threshold=test.number("score_thr"),
                nms=parts.nms(test),
                detections=test.whole("max_per_img"),
            )
            classes = head.whole("num_classes", 80)
        return RetinaNet.Config(input=input, backbone=backbone, neck=neck, head=settings), classes


__all__ = ["retinanet"]
