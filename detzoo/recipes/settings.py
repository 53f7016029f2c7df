"""Settings of data and schedule: the half of a recipe that is not the model."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from detzoo.config import Config
from detzoo.precision import Precision
from detzoo.recipes.augment import Flip, Mixup, Resize, Step, plain_steps
from detzoo.user_path import user_path


class Split(Config):
    """One annotated part of a data set; paths are relative to ``Data.root``."""

    # coco: a JSON file; voc: a text file of image names, e.g. ImageSets/Main/train.txt, or a folder of XML files;
    # yolo: the file that names the classes, data.yaml or one name per line; own: the class's name; shapes: unused
    annotations: str = ""
    # folder that file names are relative to; voc: the folder that holds JPEGImages and Annotations; yolo: a folder of
    # pictures or a text file that lists them
    images: str = ""
    count: int = Field(default=0, ge=0)  # shapes: number of generated images; own: of items
    proposals: str = ""  # boxes for methods that are given them: a file that evaluate(..., proposals=FILE) wrote
    semantic: str = ""  # class maps for methods that learn them: a folder of PNG files, called as the images are


def _at_home(root: str) -> str:
    return str(user_path(root)) if root.startswith("~") else root


def _from_the_program(own: Any) -> Any:
    if own is not None and not isinstance(own, tuple):  # JSON has none
        raise ValueError("a data set of the program's own is passed in by data=..., and by no file")
    return own


class Data(Config):
    """Which images to learn from and how they are varied."""

    kind: Literal["coco", "voc", "yolo", "wider_face", "shapes", "own"] = "coco"  # own: the program's, in no file
    root: Annotated[str, AfterValidator(_at_home)] = "."
    train: tuple[Split, ...] = ()
    val: tuple[Split, ...] = ()
    # part of the training images that is kept for validation, where there are no others for it: always the same ones
    val_fraction: float = Field(default=0.0, ge=0, lt=1)
    classes: tuple[str, ...] | None = None  # None: read from the annotations
    masks: bool = False  # read instance masks
    keep_empty: bool = False  # train on images without objects too
    min_box: float = Field(default=1.0, ge=0)  # pixels of the file: narrower or lower objects are left out of training
    repeat: int = Field(default=1, ge=1)  # passes over the images that count as one epoch
    # images that show a class which a smaller part of the images shows than this are repeated within each pass, by the
    # square root of how much smaller it is, rounded up (LVIS, arXiv:1908.03195); 0: none is
    oversample: float = Field(default=0.0, ge=0, le=1)
    sizes: tuple[tuple[int, int], ...] = ()  # training (short, long) pixels; empty: as the model's input
    size_mode: Literal["choice", "range"] = "choice"  # one of `sizes`, or short edge uniform between the first and last
    flip: float = Field(default=0.5, ge=0, le=1)  # probability of a left-right flip
    augment: tuple[Step, ...] = (Resize(), Flip())  # what is done to a training picture, in this order
    group_by_aspect: bool = True  # batches of wide or of tall images only
    workers: int = Field(default=2, ge=0)  # loader processes per device
    worker_timeout: float = Field(default=600.0, gt=0)  # seconds they may take for a batch before the run ends
    check_images: bool = True  # look at the header, size and end of every image file before the first step
    skip_broken: bool = False  # leave broken image files out, with a warning, instead of refusing the data
    # lvis: COCO's where only some classes were looked for in each image; voc07: 11-point AP at IoU 0.5; voc: area under
    # the curve; proposals: recall, as of a detector without classes
    metric: Literal["coco", "lvis", "voc07", "voc", "proposals"] = "coco"
    # own: what the program has passed in to train and to validate on, as of `detzoo.data.own`; in no file
    own: Annotated[Any, AfterValidator(_from_the_program)] = Field(default=None, exclude=True, repr=False)

    @model_validator(mode="after")
    def _sizes_are_used(self) -> Data:
        if self.sizes and not any(isinstance(step, Resize) and not step.sizes for step in plain_steps(self.augment)):
            raise ValueError("sizes are not used: no `resize` step of augment is without sizes of its own")
        return self

    @model_validator(mode="after")
    def _mixes_first(self) -> Data:
        if any(isinstance(step, Mixup) for step in plain_steps(self.augment[1:])):
            raise ValueError("mixup can only be the first step of augment")
        if self.masks and self.augment and isinstance(self.augment[0], Mixup):
            raise ValueError("mixup cannot mix masks: set masks=false, or leave it out of augment")
        return self

    @model_validator(mode="after")
    def _one_validation(self) -> Data:
        if self.val_fraction and self.train and self.val and self.train != self.val:
            raise ValueError(
                f"val_fraction={self.val_fraction:g} keeps training images for validation, but there are others for it "
                "already: leave it out, or set data.val=[]"
            )
        return self

    def parts(self, half: Literal["train", "val"]) -> tuple[Split, ...]:
        """The annotated parts that a half comes from; with ``val_fraction`` both come from the same."""
        if self.val_fraction:
            return self.train or self.val
        return self.train if half == "train" else self.val


class ParamGroup(Config):
    """Optimizer settings for some parameters; the first group that a parameter belongs to wins."""

    pattern: str = ""  # regular expression searched in the parameter's name; empty: any name
    # which of those: all; scales and offsets of normalization layers; or offsets ("bias") of all other layers
    of: Literal["all", "norm", "bias"] = "all"
    lr_scale: float = Field(default=1.0, ge=0)
    weight_decay: float | None = None  # None: as the optimizer's


def _as_before(precision: Any) -> Any:
    """Settings that called the precision ``autocast`` called float32 "none"."""
    return "fp32" if precision == "none" else precision


class Schedule(Config):
    """How the weights are fitted."""

    RENAMED: ClassVar = {"autocast": "precision"}

    epochs: int = Field(default=12, ge=1)
    batch: int = Field(default=2, ge=1)  # images per device and step
    accumulate: int = Field(default=1, ge=1)  # steps whose gradients are added before one update
    optimizer: Literal["sgd", "adam", "adamw", "rmsprop"] = "sgd"
    lr: float = Field(default=0.02, gt=0)  # at `base_batch` images per update
    base_batch: int = Field(default=16, ge=1)
    scale_lr: bool = True  # lr * (images per update / base_batch)
    momentum: float = Field(default=0.9, ge=0, lt=1)  # of sgd and rmsprop
    weight_decay: float = Field(default=1e-4, ge=0)  # adamw: apart from the gradient; else added to it
    groups: tuple[ParamGroup, ...] = ()
    decay: Literal["step", "cosine", "poly", "constant"] = "step"
    decay_by: Literal["update", "epoch"] = "update"  # epoch: the rate stays the same within an epoch
    decay_start: float | None = Field(default=None, ge=0)  # epoch at which cosine and poly begin; None: after warm-up
    milestones: tuple[int, ...] = (8, 11)  # epochs after which a step schedule multiplies by gamma
    gamma: float = Field(default=0.1, gt=0)
    power: float = Field(default=1.0, gt=0)  # poly: 1 falls evenly, more falls sooner
    final_lr: float = Field(default=0.0, ge=0, le=1)  # cosine, poly: fraction of lr at the end
    warmup: Literal["linear", "constant"] = "linear"  # lr rises from its first value, or stays there
    warmup_steps: int = Field(default=500, ge=0)  # updates before lr has its full value
    warmup_start: float = Field(default=1e-3, ge=0, le=1)  # fraction of lr at the first update
    sync_bn: bool = False  # batch normalization that is not frozen sees the images of all devices, not of its own alone
    clip_norm: float | None = Field(default=None, gt=0)  # largest gradient norm
    precision: Annotated[Precision, BeforeValidator(_as_before)] = "fp32"  # of convolutions; weights are float32
    ema: float | None = Field(default=None, gt=0, lt=1)  # decay of the averaged weights; None: no averaging
    evaluate_every: int = Field(default=1, ge=0)  # epochs between validations; 0: never
    patience: int | None = Field(default=None, ge=1)  # stop after this many validations without a better AP
    seed: int = Field(default=0, ge=0, lt=2**63)

    @model_validator(mode="after")
    def _milestones_rise(self) -> Schedule:
        if list(self.milestones) != sorted(set(self.milestones)):
            raise ValueError(f"milestones must rise, got {self.milestones}")
        if self.decay_start is not None and self.decay_start >= self.epochs:
            raise ValueError(f"decay_start is {self.decay_start:g}, but there are {self.epochs} epochs")
        return self
