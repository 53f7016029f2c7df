"""Second-stage heads on pooled RoI features: boxes and masks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, NamedTuple, TypeAlias

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from detzoo.blocks.assign import MatchConfig, Matches, RoISamples, match, pick, sample_rois
from detzoo.blocks.balanced_sampling import Balance, balanced_keys
from detzoo.blocks.carafe import Carafe
from detzoo.blocks.class_rows import BACKGROUND_LAST, ONE_EACH, ClassRows
from detzoo.blocks.deform_pool import DeformPool
from detzoo.blocks.double_head import DoubleHead
from detzoo.blocks.groie import GRoIE
from detzoo.blocks.layers import Norm, ResidualPair
from detzoo.blocks.losses import BoxLoss, binary_loss, box_loss, class_loss, mean_over_ranks, unit_box_loss
from detzoo.blocks.prime_samples import PrimeSamples, ScoreRanks, rank_weights, ranked_negatives, score_weights
from detzoo.blocks.side_aware import SideAware
from detzoo.blocks.suppression import SoftNMS, moved_in_files, suppressed
from detzoo.blocks.towers import tower
from detzoo.blocks.unaligned import Unaligned
from detzoo.config import Config as BaseConfig
from detzoo.ops.boxes import clip, decode, encode, full_precision
from detzoo.ops.nms import rank
from detzoo.ops.roi_align import Atlas, crop_targets, pyramid_levels, roi_align
from detzoo.types import Detections, Images, Targets

# of `BoxHead.forward`: class logits [N, R, C + 1], and offsets [N, R, C or 1, 4] or a `SideAware`'s [N, R, 1, 4, 2, B]
RawBoxes = tuple[Tensor, Tensor]


class SingleLevel(nn.Module):
    """RoIAlign (arXiv:1703.06870, section 3) from the level that fits a RoI's size (arXiv:1612.03144, equation 1)."""

    class Config(BaseConfig):
        """Settings of `SingleLevel`."""

        kind: Literal["single"] = "single"

        def build(self, channels: int, levels: int, size: int, sampling: int) -> SingleLevel:
            """The extractor; see `AnyRoIExtractor`."""
            return SingleLevel(size, sampling)

    def __init__(self, size: int, sampling: int) -> None:
        """Build for ``size`` bins per side with ``sampling`` samples per bin and side; 0: adaptive."""
        super().__init__()
        self.size, self.sampling = size, sampling

    def forward(self, atlas: Atlas, boxes: Tensor) -> Tensor:
        """Features ``[N * R, C, size, size]`` of boxes ``[N, R, 4]``."""
        return roi_align(atlas, boxes, pyramid_levels(boxes, len(atlas.strides)), self.size, self.sampling)


# Each is a `nn.Module` from an atlas and boxes ``[N, R, 4]`` to ``[N * R, C, size, size]``; its ``Config`` has a
# ``kind`` and ``build(channels, levels, size, sampling)``: of the maps, how many, and the head's bins and samples.
AnyRoIExtractor: TypeAlias = Annotated[
    SingleLevel.Config | Unaligned.Config | GRoIE.Config | DeformPool.Config, Field(discriminator="kind")
]


class BoxHead(nn.Module):
    """Scores C classes and background for every RoI and refines its box; Fast R-CNN (arXiv:1504.08083), section 2."""

    class Config(BaseConfig):
        """Settings of `BoxHead`: its layers, what it learns from, and what it returns."""

        size: int = Field(default=7, ge=1)  # bins per side of a pooled RoI
        sampling: int = Field(default=0, ge=0)  # samples per bin and side; 0: adaptive
        extractor: AnyRoIExtractor = SingleLevel.Config()  # how RoIs are pooled
        convs: int = Field(default=0, ge=0)  # 3x3 convolutions before the fully connected layers
        channels: int = Field(default=256, ge=1)  # of the convolutions
        norm: Norm | None = None  # of the convolutions
        standardize: bool = False  # their weights; see `StandardizedConv2d`
        fcs: int = Field(default=2, ge=0)
        fc_channels: int = Field(default=1024, ge=1)
        class_agnostic: bool = False  # one box per RoI rather than one per class
        refines: bool = True  # boxes; False: RoIs are only classified
        stds: tuple[float, float, float, float] = (0.1, 0.1, 0.2, 0.2)  # of box offsets
        shrink_bound: bool = True  # a box shrinks by no more than it may grow; False: to any size
        in_files: bool = False  # moves boxes in pixels of the file, and a next stage's out of it (PaddleDetection 0.x)
        legacy: bool = False  # offsets of MMDetection 1.x, where a box ends with its last pixel, a pixel sooner
        double_head: DoubleHead.Config | None = None  # refines boxes from wider RoIs; None: the layers above do
        side_aware: SideAware.Config | None = None  # finds boxes side by side, one per RoI; None: as said above
        class_weight: float = Field(default=1.0, ge=0)  # of the classification loss
        box_loss: BoxLoss = BoxLoss()
        unit_boxes: bool | Literal["sum"] = False  # box loss around a unit box, see `unit_box_loss` (PaddleDetection)
        by_best: bool = False  # a RoI moves, and learns to, as its best class asks, not its object's (PaddleDetection)
        match: MatchConfig = MatchConfig()
        samples: int = Field(default=512, ge=1)  # RoIs per image in training
        positives: float = Field(default=0.25, gt=0, le=1)  # largest share of them that are positive
        objects: bool = True  # themselves are among them; False: proposals alone
        balance: Balance | None = None  # of what is drawn, over objects and IoUs; None: at random
        score_ranks: ScoreRanks | None = None  # draws and weighs negatives (PISA); None: at random, all alike
        prime: PrimeSamples | None = None  # weighs positives (PISA); None: all alike
        hard_examples: bool = False  # those of largest classification loss, not random ones (OHEM, arXiv:1604.03540)
        threshold: float = Field(default=0.05, ge=0, le=1)  # least score of a detection
        nms: float = Field(default=0.5, ge=0, le=1)  # IoU, within a class
        soft_nms: SoftNMS | None = None  # None: what overlaps a better box by more than `nms` is dropped
        detections: int = Field(default=100, ge=1)  # per image
        candidates: int = Field(default=4096, ge=1)  # best (RoI, class) pairs per image that enter suppression

        @property
        def most_positives(self) -> int:
            """The largest number of positives among the samples of an image, which come in its first slots."""
            return int(self.samples * self.positives)

        @property
        def boxes_alone(self) -> bool:
            """Whether it scores or draws RoIs in a way that knows nothing but boxes."""
            return self.hard_examples or self.score_ranks is not None or self.double_head is not None

    @property
    def class_rows(self) -> Mapping[str, ClassRows]:
        """Layers with rows per class."""
        return {"fc_cls": BACKGROUND_LAST} | ({} if self.one_box else {"fc_reg": ClassRows(each=4)})

    def __init__(
        self, config: BoxHead.Config, channels: int, classes: int, stage: nn.Module | None = None, *, levels: int = 4
    ) -> None:
        """Build for ``levels`` of features of ``channels`` and a number of ``classes`` without background.

        A ``stage``, the last one of the backbone, runs on every pooled RoI first; ``channels`` are then what it
        returns, and its bins are averaged as at the end of a classifier.

        Raises:
            ValueError: there is a stage behind an extractor with weights, or beside a double head; or a part that
                looks for sides beside another that moves boxes.
        """
        super().__init__()
        self.config = config
        kind = config.extractor.kind
        if stage is not None and kind not in ("single", "unaligned"):
            raise ValueError(f"the backbone's stage runs on RoIs of extractor 'single', not {kind!r}")
        if config.double_head is not None and (stage is not None or kind != "single"):
            raise ValueError("a double head pools RoIs by extractor 'single', and has no backbone's stage before it")
        self.extractor = config.extractor.build(channels, levels, config.size, config.sampling)
        self.one_box = config.class_agnostic or not config.refines or config.side_aware is not None
        self.classes = classes
        self.stage = stage
        self.double_head = None if config.double_head is None else DoubleHead(config.double_head, channels)
        self.side_aware = None
        if config.side_aware is not None:
            beside = stage, self.double_head, config.prime, config.score_ranks
            if not config.refines or config.box_loss.on_boxes or any(one is not None for one in beside):
                without = "double_head, roi_stage, prime and score_ranks"
                raise ValueError(f"side_aware goes with refines and a loss of offsets, without {without}")
            self.side_aware = SideAware(config.side_aware, channels, config.size)
        self.shared_convs = tower(channels, config.channels, config.convs, config.norm, standardize=config.standardize)
        width = config.channels if config.convs else channels
        if stage is None:
            width *= config.size**2
        self.shared_fcs = nn.ModuleList()
        for _ in range(config.fcs):
            self.shared_fcs.append(nn.Linear(width, config.fc_channels))
            width = config.fc_channels
        self.fc_cls = nn.Linear(width, classes + 1)
        width = width if config.double_head is None else config.double_head.channels
        moves = config.refines and self.side_aware is None
        self.fc_reg = nn.Linear(width, 4 if self.one_box else 4 * classes) if moves else None
        for layer in self.shared_fcs:
            nn.init.xavier_uniform_(layer.get_parameter("weight"))
            nn.init.zeros_(layer.get_parameter("bias"))
        for layer, std in ((self.fc_cls, 0.01), (self.fc_reg, 0.001)):
            if layer is not None:
                nn.init.normal_(layer.weight, std=std)
                nn.init.zeros_(layer.bias)

    def forward(self, atlas: Atlas, boxes: Tensor, valid: Tensor | None = None) -> RawBoxes:
        """Class logits ``[N, R, C + 1]``, background last, and offsets ``[N, R, C or 1, 4]`` of boxes ``[N, R, 4]``.

        Batch normalization learns from ``valid`` ones alone, bool ``[N, R]``.
        """
        return self.score(self.pool(atlas, boxes), boxes, valid)

    def pool(self, atlas: Atlas, boxes: Tensor) -> Tensor:
        """Features of each RoI ``[N * R, C, s, s]``, after the stage if there is one.

        Of a double head they are ``[N * R, 2 C, s, s]``: those of the wider RoI come behind.
        """
        x = self.extractor(atlas, boxes)
        if self.double_head is not None:
            x = torch.cat([x, self.double_head.pool(atlas, boxes, self.config.size, self.config.sampling)], 1)
        return x if self.stage is None else self.stage(x)

    def score(self, x: Tensor, boxes: Tensor, valid: Tensor | None = None) -> RawBoxes:
        """What `forward` gives, from the features ``[N * R, C, s, s]`` that `pool` gave of ``boxes [N, R, 4]``."""
        return self.judge(self.embed(x, valid), boxes)

    def embed(self, x: Tensor, valid: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """What classes and what offsets are told by, ``[N * R, F]`` each, of features ``[N * R, C, s, s]``.

        It is the same tensor, but in a double head; with a `SideAware` it is what that gives instead.
        """
        rows = None if valid is None else valid.flatten()
        moves = None if self.side_aware is None else self.side_aware(x)
        if self.double_head is not None:
            x, wider = x.chunk(2, 1)
            moves = self.double_head(wider, rows)
        for conv in self.shared_convs:
            x = conv(x, rows if self.config.norm == "bn" else None)
        x = x.flatten(1) if self.stage is None else x.mean((2, 3))
        for layer in self.shared_fcs:
            x = F.relu_(layer(x))
        return x, x if moves is None else moves

    def judge(self, told: tuple[Tensor, Tensor], boxes: Tensor) -> RawBoxes:
        """What `forward` gives, from what `embed` gave of ``boxes [N, R, 4]``: ``[N * R, F]`` each."""
        logits = self.fc_cls(told[0]).view(*boxes.shape[:2], -1)
        if self.side_aware is not None:
            return logits, told[1].view(*boxes.shape[:2], 1, *told[1].shape[1:])
        if self.fc_reg is None:
            return logits, torch.zeros_like(boxes).unsqueeze(2)
        return logits, self.fc_reg(told[1]).view(*boxes.shape[:2], -1, 4)

    @torch.no_grad()
    def sample(
        self, atlas: Atlas, boxes: Tensor, valid: Tensor, targets: Targets, matches: Matches | None = None
    ) -> RoISamples:
        """RoIs to learn from among proposals ``boxes [N, P, 4]``, ``valid [N, P]``, and the objects themselves.

        They are drawn at random, balanced, by classification loss or by rank of score, as the settings say. ``matches``
        are those of the proposals; None: as the settings say.
        """
        config = self.config
        if matches is None:
            matches = match(boxes, valid, targets, config.match, overlaps=config.balance is not None)
        most = config.most_positives

        def hardness(rois: Tensor, of: Matches) -> tuple[Tensor, None]:
            logits = full_precision(self(atlas, rois)[0])
            labels = pick(targets.labels, of.slot).masked_fill(~of.positive, self.classes)
            loss = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none").view_as(labels)
            return loss.argsort(1).argsort(1) / loss.shape[1], None  # place by rising loss

        def balanced(rois: Tensor, of: Matches) -> tuple[Tensor, None]:
            assert config.balance is not None
            return balanced_keys(*of, targets.valid.shape[1], config.samples, most, config.balance), None

        def ranked(rois: Tensor, of: Matches) -> tuple[Tensor, Tensor]:
            assert config.score_ranks is not None
            logits, offsets = self(atlas, rois)
            found = self._placed(rois, self._of_class(offsets, logits[..., :-1].argmax(-1)))
            return ranked_negatives(config.score_ranks, logits, found, of, config.samples, most)

        ways = (config.hard_examples, hardness), (config.balance, balanced), (config.score_ranks, ranked)
        keys = next((keys for setting, keys in ways if setting), None)
        return sample_rois(boxes, matches, targets, config.samples, config.positives, keys, config.objects)

    def losses(
        self, atlas: Atlas, samples: RoISamples, targets: Targets, pooled: Tensor | None = None
    ) -> dict[str, Tensor]:
        """``loss_cls``, ``loss_bbox`` (where boxes are refined) and the accuracy ``acc`` in percent, over all samples.

        ``prime`` adds ``loss_carl``; a `SideAware` has ``loss_bbox_cls, loss_bbox_reg`` in place of ``loss_bbox``.

        ``pooled`` is what `pool` gave of the samples, if it is at hand: ``[N * S, C, s, s]``.
        """
        pooled = self.pool(atlas, samples.boxes) if pooled is None else pooled
        return self.compare(self.score(pooled, samples.boxes, samples.valid), samples, targets)

    def compare(
        self, raw: RawBoxes, samples: RoISamples, targets: Targets, beta: Tensor | None = None
    ) -> dict[str, Tensor]:
        """`losses` of what `forward` gave for the samples' boxes; ``beta``, a scalar: see `box_loss`."""
        config, prime = self.config, self.config.prime
        logits, offsets = raw
        labels = torch.where(samples.positive, samples.labels, self.classes)
        moves = self._of_class(offsets, logits[..., :-1].argmax(-1) if config.by_best else samples.labels)
        wanted = pick(targets.boxes, samples.slot)
        weights = samples.valid if samples.weights is None else samples.weights
        if prime is not None:
            found = self._placed(samples.boxes, moves)
            of = samples.positive, samples.slot, samples.labels
            weights = weights * rank_weights(prime.ranks, found, wanted, *of, lambda w: class_loss(logits, labels, w))
        count = mean_over_ranks(samples.valid.sum(), floor=1)
        right = ((logits.detach().argmax(-1) == labels) & samples.valid).sum()
        losses = {
            "loss_cls": class_loss(logits, labels, weights) / count * config.class_weight,
            "acc": right * 100.0 / samples.valid.sum().clamp(min=1),
        }
        if not config.refines:
            return losses
        if self.side_aware is not None:
            of_sides = self.side_aware.losses(moves, samples.boxes, wanted, samples.positive, count, config.box_loss)
            return losses | of_sides
        if config.box_loss.on_boxes and not config.unit_boxes:
            moves = self._placed(samples.boxes, moves)
        else:
            wanted = encode(samples.boxes, wanted, config.stds, config.legacy)
        if config.unit_boxes:
            classes = None if config.unit_boxes == "sum" else self.classes
            loss = unit_box_loss(moves, wanted, samples.positive, config.box_loss, classes)
            return losses | {"loss_bbox": loss / count}
        losses["loss_bbox"] = box_loss(moves, wanted, samples.positive.float(), config.box_loss, beta) / count
        if prime is not None:
            scores = full_precision(logits).softmax(-1).gather(2, samples.labels.unsqueeze(2)).squeeze(2)
            by_score = score_weights(prime.scores, scores, samples.positive)
            losses["loss_carl"] = box_loss(moves, wanted, by_score, config.box_loss, beta) / count
        return losses

    def detect(self, atlas: Atlas, boxes: Tensor, valid: Tensor, images: Images) -> Detections:
        """The best detections of each image from its proposals ``boxes [N, P, 4]``, ``valid [N, P]``."""
        return self.best(self(atlas, boxes), boxes, valid, images)

    def best(self, raw: RawBoxes, boxes: Tensor, valid: Tensor, images: Images) -> Detections:
        """`detect` from what `forward` gave for ``boxes [N, P, 4]``, ``valid [N, P]``."""
        config = self.config
        logits, offsets = raw
        scores = full_precision(logits).softmax(-1)[..., :-1]
        usable = (scores > config.threshold) & valid.unsqueeze(-1)
        pair, used = rank(scores.flatten(1), usable.flatten(1), config.candidates)
        best = scores.flatten(1).gather(1, pair)
        roi, labels = pair // self.classes, pair % self.classes
        moves = self._of_class(pick(offsets, roi), labels)
        refined, sure = self._moved(pick(boxes, roi), moves, images, config.in_files)
        best = best if sure is None else best * sure
        limits = config.nms, config.soft_nms, config.detections, self.classes
        return suppressed(refined, best, labels, used, *limits, images if config.in_files else None)

    @torch.no_grad()
    def refine(self, raw: RawBoxes, boxes: Tensor, images: Images, samples: RoISamples | None = None) -> Tensor:
        """Boxes ``[N, R, 4]`` moved by what `forward` gave for them, as RoIs of a next stage.

        Each moves as its object's class asks, where it is a positive among ``samples``, or else as its best class does.
        """
        logits, offsets = raw
        labels = logits[..., :-1].argmax(-1)
        if samples is not None and not self.config.by_best:
            labels = torch.where(samples.positive, samples.labels, labels)
        return self._moved(boxes, self._of_class(offsets, labels), images)[0]

    def _moved(
        self, boxes: Tensor, moves: Tensor, images: Images, in_files: bool = False
    ) -> tuple[Tensor, Tensor | None]:
        """``boxes [N, R, 4]`` moved by what `_of_class` gives, maybe ``in_files``; and how sure a `SideAware` is."""
        if self.side_aware is not None:
            return self.side_aware.place(boxes, moves, images.sizes)
        if in_files:
            return moved_in_files(boxes, images, lambda some: self._placed(some, moves)), None
        moved = self._placed(boxes, moves)
        return moved if self.config.in_files else clip(moved, images.sizes - int(self.config.legacy)), None

    def _placed(self, boxes: Tensor, moves: Tensor) -> Tensor:
        """``boxes [N, R, 4]`` moved by offsets ``[N, R, 4]``."""
        config = self.config
        return decode(boxes, moves, config.stds, config.legacy, shrink_bound=config.shrink_bound)

    def _of_class(self, offsets: Tensor, labels: Tensor) -> Tensor:
        """The offsets ``[N, R, 4]`` of each RoI's class out of ``[N, R, C or 1, 4]``, or all that is told of sides."""
        if self.one_box:
            return offsets.squeeze(2)
        return offsets.gather(2, labels[..., None, None].expand(-1, -1, 1, 4)).squeeze(2)


class LearnedMasks(NamedTuple):
    """Masks of P RoIs per image in training.

    Attributes:
        pooled: features that they were drawn from, ``[N * P, C, s, s]``.
        logits: ``[N, P, m, m]``.
        wanted: float32 of 0 and 1, alike.
        positive: bool ``[N, P]``, RoIs that hold an object.
    """

    pooled: Tensor
    logits: Tensor
    wanted: Tensor
    positive: Tensor


class MaskHead(nn.Module):
    """A small fully convolutional network that gives each RoI a mask of its class; Mask R-CNN (arXiv:1703.06870)."""

    class Config(BaseConfig):
        """Settings of `MaskHead`."""

        size: int = Field(default=14, ge=1)  # bins per side of a pooled RoI; masks have twice as many as come in
        sampling: int = Field(default=0, ge=0)
        extractor: AnyRoIExtractor = SingleLevel.Config()
        convs: int = Field(default=4, ge=0)
        residual: bool = False  # they stand in pairs, with a shortcut around each; SCNet's
        channels: int = Field(default=256, ge=1)
        norm: Norm | None = None
        carafe: Carafe.Config | None = None  # upsampling by content; None: by a transposed convolution
        standardize: bool = False  # weights of `convs`; see `StandardizedConv2d`
        class_agnostic: bool = False
        weight: float = Field(default=1.0, ge=0)
        threshold: float = Field(default=0.5, ge=0, le=1)  # least probability of a pixel inside

    @property
    def class_rows(self) -> Mapping[str, ClassRows]:
        """Layers with rows per class."""
        return {} if self.config.class_agnostic else {"conv_logits": ONE_EACH}

    def __init__(self, config: MaskHead.Config, channels: int, classes: int, *, levels: int = 4) -> None:
        """Build for ``levels`` of features of ``channels`` and a number of ``classes``.

        Raises:
            ValueError: ``residual`` convolutions would change the number of channels, or are standardized.
        """
        super().__init__()
        self.config = config
        self.extractor = config.extractor.build(channels, levels, config.size, config.sampling)
        width = channels
        if config.residual:
            if config.channels != channels or config.standardize:
                raise ValueError(
                    f"pairs of convolutions keep their input's {channels} channels, and are not standardized"
                )
            self.convs = nn.Sequential(*(ResidualPair(channels, config.norm) for _ in range(config.convs // 2)))
        else:
            self.convs = tower(channels, config.channels, config.convs, config.norm, standardize=config.standardize)
            width = config.channels if config.convs else channels
        if config.carafe is None:
            self.upsample = nn.ConvTranspose2d(width, config.channels, 2, stride=2)
            nn.init.kaiming_normal_(self.upsample.weight, mode="fan_out", nonlinearity="relu")
            nn.init.zeros_(self.upsample.get_parameter("bias"))
            width = config.channels
        else:
            self.upsample = Carafe(config.carafe, width)
        self.conv_logits = nn.Conv2d(width, 1 if config.class_agnostic else classes, 1)
        nn.init.kaiming_normal_(self.conv_logits.weight, mode="fan_out", nonlinearity="relu")
        nn.init.zeros_(self.conv_logits.get_parameter("bias"))

    def forward(self, atlas: Atlas, boxes: Tensor, labels: Tensor) -> Tensor:
        """Mask logits ``[N, R, m, m]``, m = 2 size, of boxes ``[N, R, 4]`` for their classes ``labels [N, R]``."""
        return self.draw(self.pool(atlas, boxes), labels)

    def pool(self, atlas: Atlas, boxes: Tensor) -> Tensor:
        """Features of each RoI ``[N * R, C, size, size]``."""
        return self.extractor(atlas, boxes)

    def draw(self, x: Tensor, labels: Tensor, valid: Tensor | None = None) -> Tensor:
        """Mask logits ``[N, R, 2 s, 2 s]`` from features ``[N * R, C, s, s]`` for classes ``labels [N, R]``.

        Batch normalization learns from ``valid`` ones alone, bool ``[N, R]``.
        """
        x = self.convolved(x, valid)
        x = self.upsample(x) if self.config.carafe else F.relu_(self.upsample(x))
        side = x.shape[-1]
        x = x.flatten(2)
        # only the row of the class is computed, not all classes of which one is then picked
        row = torch.zeros_like(labels) if self.config.class_agnostic else labels
        weight = self.conv_logits.weight.flatten(1)[row].flatten(0, 1)
        assert self.conv_logits.bias is not None
        bias = self.conv_logits.bias[row].view(-1, 1)
        logits = torch.bmm(weight.unsqueeze(1).to(x.dtype), x).squeeze(1) + bias
        return logits.view(*labels.shape, side, side)

    def convolved(self, x: Tensor, valid: Tensor | None = None) -> Tensor:
        """What `draw` makes of features ``[N * R, C, s, s]`` before it upsamples: ``[N * R, C', s, s]``."""
        rows = valid.flatten() if valid is not None and self.config.norm == "bn" else None
        for conv in self.convs:
            x = conv(x, rows)
        return x

    def losses(
        self, atlas: Atlas, samples: RoISamples, targets: Targets, positives: int, pooled: Tensor | None = None
    ) -> dict[str, Tensor]:
        """``loss_mask``: mean binary cross-entropy over the pixels of positives, which fill the first slots.

        Arguments and errors as of `learn`.
        """
        return self.compare(self.learn(atlas, samples, targets, positives, pooled))

    def learn(
        self, atlas: Atlas, samples: RoISamples, targets: Targets, positives: int, pooled: Tensor | None = None
    ) -> LearnedMasks:
        """Draw masks of the first ``positives`` RoIs of each image, and crop what they should be.

        ``pooled [N * positives, C, s, s]`` are features of these RoIs to draw from instead of those that `pool` gives.

        Raises:
            ValueError: the targets have no masks.
        """
        if targets.masks is None:
            raise ValueError("the targets have no masks: pass masks to Targets.pack, or set data.masks=true")
        boxes, labels = samples.boxes[:, :positives], samples.labels[:, :positives]
        positive = samples.positive[:, :positives]
        pooled = self.pool(atlas, boxes * positive.unsqueeze(-1)) if pooled is None else pooled
        logits = self.draw(pooled, labels, positive)
        wanted = crop_targets(targets.masks, boxes, samples.slot[:, :positives], logits.shape[-1])
        return LearnedMasks(pooled, logits, wanted, positive)

    def compare(self, learned: LearnedMasks) -> dict[str, Tensor]:
        """`losses` of what `learn` gave."""
        positive = learned.positive
        pixels = mean_over_ranks(positive.sum(), floor=1) * learned.logits[0, 0].numel()
        loss = binary_loss(learned.logits, learned.wanted, positive[..., None, None].float()) / pixels
        return {"loss_mask": loss * self.config.weight}

    def crops(self, atlas: Atlas, boxes: Tensor, labels: Tensor, pooled: Tensor | None = None) -> Tensor:
        """Mask probabilities ``[N, K, m, m]`` inside each of the detected boxes ``[N, K, 4]``; ``pooled`` as above."""
        return full_precision(self.draw(self.pool(atlas, boxes) if pooled is None else pooled, labels)).sigmoid()
