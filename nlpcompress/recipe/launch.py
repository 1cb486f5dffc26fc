"""How many processes work on a recipe, and whether they know of each other."""

import os
from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar

import torch
from accelerate import PartialState
from accelerate.utils import broadcast_object_list

from nlpcompress.errors import LaunchError

T = TypeVar("T")
LONGEST_WAIT = timedelta(days=7)


def on_cpu() -> bool:
    """Whether this machine has no accelerator that torch can use."""
    return not torch.accelerator.is_available()


def join() -> PartialState:
    """This process among those that were launched together, with a process group between them.

    Raises `LaunchError` when several were launched and cannot find each other, or each believes to
    be alone.
    """
    launched = int(os.environ.get("WORLD_SIZE", "1"))
    try:
        state = PartialState(cpu=on_cpu(), timeout=LONGEST_WAIT)
    except ValueError as error:
        raise LaunchError(
            f"WORLD_SIZE={launched} says that {launched} processes were launched, but they cannot "
            f"find each other: {error}; launch them with `torchrun` or `accelerate launch`, or "
            "unset WORLD_SIZE"
        ) from None
    if launched > 1 and state.num_processes == 1:
        raise LaunchError(
            f"{launched} processes were launched (WORLD_SIZE={launched}), but each believes to be "
            "alone and would write the same files; launch them with `torchrun --nproc_per_node "
            f"{launched} -m nlpcompress run …` or `accelerate launch --multi_gpu --num_processes "
            f"{launched} -m nlpcompress run …`"
        )
    return state


def agreed(state: PartialState, value: T) -> T:
    """The main process's value, in every process."""
    if state.num_processes == 1:
        return value
    return broadcast_object_list([value])[0]


def main_first(state: PartialState, work: Callable[[], T | None]) -> T | None:
    """Do `work` in the main process while the others wait; None in the others."""
    result = work() if state.is_main_process else None
    state.wait_for_everyone()
    return result
