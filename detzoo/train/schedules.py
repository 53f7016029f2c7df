"""Learning rate schedules as plain functions of the position in the run: nothing to save, nothing to restore."""

from __future__ import annotations

import math

from detzoo.recipes.settings import Schedule


def lr_factor(schedule: Schedule, epoch: float, update: int, updates_per_epoch: int) -> float:
    """The fraction of the full learning rate that an update uses.

    Args:
        schedule: the settings.
        epoch: epochs done before this update, with its fraction (2.5: half of the third epoch is done).
        update: updates done before this one.
        updates_per_epoch: to place the end of the warm-up, which is counted in updates, among the epochs.

    Returns:
        warm-up times decay. Warm-up rises linearly from ``warmup_start`` to 1 over ``warmup_steps`` updates
        (arXiv 1706.02677, 2.2), or is ``warmup_start`` for as long. Decay is 1, or ``gamma`` per milestone passed, or
        falls from 1 to ``final_lr`` at the end of the run: over half a cosine (SGDR without restarts, arXiv
        1608.03983, equation 5) or as the ``power`` of what is left (poly, arXiv 1606.00915, section 4.1.1). That fall
        begins at ``decay_start``, else where the warm-up ends. With ``decay_by="epoch"`` whole epochs count.
    """
    warmup = 1.0
    if update < schedule.warmup_steps:
        risen = update / schedule.warmup_steps if schedule.warmup == "linear" else 0.0
        warmup = schedule.warmup_start + (1 - schedule.warmup_start) * risen
    if schedule.decay == "constant":
        return warmup
    if schedule.decay == "step":
        return warmup * schedule.gamma ** sum(epoch >= milestone for milestone in schedule.milestones)
    first = schedule.warmup_steps / updates_per_epoch if schedule.decay_start is None else schedule.decay_start
    place = math.floor(epoch) if schedule.decay_by == "epoch" else epoch
    done = min(max((place - first) / max(schedule.epochs - first, 1e-9), 0.0), 1.0)
    left = (1 + math.cos(math.pi * done)) / 2 if schedule.decay == "cosine" else (1 - done) ** schedule.power
    return warmup * (schedule.final_lr + (1 - schedule.final_lr) * left)


def warnings(schedule: Schedule, updates_per_epoch: int) -> list[str]:
    """Printable remarks on a schedule that can hardly be meant as it is."""
    remarks = []
    total = schedule.epochs * updates_per_epoch
    if schedule.warmup_steps >= total:
        remarks.append(
            f"the warm-up of {schedule.warmup_steps} updates is not over when the run ends after {total}; "
            f"set schedule.warmup_steps, for example to {max(total // 10, 1)}"
        )
    if schedule.decay == "step" and schedule.milestones and schedule.milestones[0] >= schedule.epochs:
        remarks.append(
            f"the learning rate never falls: the first of schedule.milestones is {schedule.milestones[0]} "
            f"and the run has {schedule.epochs} epochs"
        )
    if schedule.patience is not None and not schedule.evaluate_every:
        remarks.append("schedule.patience does nothing: no epoch is validated with schedule.evaluate_every=0")
    return remarks


__all__ = ["lr_factor", "warnings"]
