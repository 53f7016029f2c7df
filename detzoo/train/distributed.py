"""Several devices or nodes, one process each, started by ``torchrun`` or ``accelerate launch``.

Both launchers describe the run in the same environment variables (RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR,
MASTER_PORT), which is all that is read here.

What is equal. W ranks with a batch of B compute the gradient that one rank computes with a batch of W x B, up to
rounding, when the ranks' batches together hold the same images on canvases of the same size, every loss divides by
`detzoo.blocks.losses.mean_over_ranks` of its count (or is a mean over images), and no layer mixes images (batch norm in
training mode sees its rank's images only, but with ``sync_bn`` those of all ranks). The losses written to the log are
means over ranks, and so equal too.

What is not: anything drawn at random, as each rank draws its own; and with ``accumulate`` the normalizer is that of one
step, so A steps of B images weigh each step alike, where one step of A x B images would weigh each positive alike.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from itertools import count
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from detzoo.device import pick_device

# rank 0 computes AP and writes checkpoints while the others wait for it
PATIENCE = timedelta(hours=4)
Value = TypeVar("Value")
_GROUPS = count()  # numbers of the groups that this process has been in, the same on every rank


@dataclass(frozen=True, slots=True)
class Ranks:
    """This process's place in the run.

    Attributes:
        rank: number of this process, from 0.
        world: number of processes.
        device: what this process computes on.
    """

    rank: int
    world: int
    device: torch.device

    @property
    def first(self) -> bool:
        """Whether this is the process that prints and writes files."""
        return self.rank == 0

    def wrap(self, detector: nn.Module, unused: bool = False) -> nn.Module:
        """The module to call in training: averages gradients over ranks, and starts all ranks from rank 0's weights.

        Args:
            detector: on this rank's device.
            unused: no loss may depend on some of its trainable parameters, which are then looked for at every step;
                otherwise such a parameter ends the run.
        """
        if self.world == 1:
            return detector
        ids = [self.device.index] if self.device.type == "cuda" else None
        return DistributedDataParallel(detector, device_ids=ids, broadcast_buffers=False, find_unused_parameters=unused)

    def average(self, values: Tensor) -> Tensor:
        """Mean over ranks of a float tensor of one shape on every rank."""
        if self.world == 1:
            return values
        values = values.clone()
        dist.all_reduce(values)
        return values / self.world

    def share(self, value: Value | None) -> Value:
        """Rank 0's value on every rank; waits for all of them. ``value`` is not looked at elsewhere."""
        box: list[Any] = [value]
        if self.world > 1:
            dist.broadcast_object_list(box, src=0, device=self.device if self.device.type == "cuda" else None)
        return box[0]

    def gather(self, value: Value) -> list[Value]:
        """Every rank's value, by rank."""
        if self.world == 1:
            return [value]
        values: list[Any] = [None] * self.world
        dist.all_gather_object(values, value)
        return values

    def share_weights(self, module: nn.Module) -> None:
        """Overwrite parameters and buffers with those of rank 0."""
        if self.world > 1:
            for tensor in module.state_dict().values():
                dist.broadcast(tensor, src=0)


def without_sync(module: nn.Module, last: bool) -> AbstractContextManager[None]:
    """A context in which backward leaves gradients unaveraged over ranks, unless it is the ``last`` of an update."""
    if last or not isinstance(module, DistributedDataParallel):
        return nullcontext()
    return module.no_sync()


@cache
def _store() -> Any:
    """Where the processes of this run find each other; made once, as all groups of a process meet in it."""
    from torch.distributed.rendezvous import rendezvous  # some builds of torch have none of this

    store, _, _ = next(rendezvous("env://", timeout=PATIENCE))
    return store


@contextmanager
def join(device: str | torch.device | None) -> Iterator[Ranks]:
    """Take this process's place in the run that a launcher described, or be the only one.

    Args:
        device: ``None``: CUDA, else MPS, else CPU. ``"cuda"`` becomes the device of the local rank.

    Raises:
        ValueError: the device does not exist here.
    """
    rank, world = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    place = pick_device(device, int(os.environ.get("LOCAL_RANK", 0)) if world > 1 else None)
    if place.type == "cuda":
        torch.cuda.set_device(place)
    started = world > 1 and not dist.is_initialized()
    if started:
        cuda = place.type == "cuda"
        # what the ranks of an earlier group left in the launcher's store a later one would take for its own, and wait
        store = dist.PrefixStore(f"detzoo-{next(_GROUPS)}", _store())  # pyright: ignore[reportPrivateImportUsage]
        dist.init_process_group(
            "nccl" if cuda else "gloo",
            timeout=PATIENCE,
            world_size=world,
            rank=rank,
            store=store,
            device_id=place if cuda else None,
        )
    try:
        yield Ranks(rank, world, place)
    finally:
        if started and dist.is_initialized():
            dist.destroy_process_group()


__all__ = ["Ranks", "join", "without_sync"]
