"""Layers that give the student's features the teacher's sizes, while the student trains."""

from collections.abc import Sequence

import torch.distributed as dist
from torch import Tensor, nn

from nlpcompress.errors import ConfigError
from nlpcompress.methods.distillation.comparing import OF_ROWS
from nlpcompress.methods.distillation.match import Match
from nlpcompress.models.features import Attention

IGNORED = "_ddp_params_and_buffers_to_ignore"


def state_projection(
    match: Match, states: Sequence[tuple[Tensor, Tensor]], number: int
) -> dict[str, nn.Module]:
    """One for all pairs of a match, under its number; none when none was asked for.

    It is linear from the student's width to the teacher's: a 1 × 1 convolution for feature maps.
    Raises `ConfigError` for widths that need one, and for several widths.
    """
    widths = sorted({(_width(own), _width(theirs)) for own, theirs in states})
    if match.proj is None:
        _check_widths(match, widths)
    if match.proj is None or (match.proj == "auto" and all(own == goal for own, goal in widths)):
        return {}
    if len(widths) > 1:
        raise ConfigError(
            f"{match.name}: one projection cannot serve layers of different widths ({widths}); "
            "give each pair a match of its own"
        )
    (own, theirs), maps = widths[0], states[0][0].dim() == 4
    return {str(number): nn.Conv2d(own, theirs, 1) if maps else nn.Linear(own, theirs)}


def head_projections(
    match: Match, attentions: Sequence[tuple[Attention, Attention]], number: int
) -> dict[str, nn.Module]:
    """One for each pair of a match, as heads of two layers have nothing in common.

    The teacher's heads are learnt as weighted sums of the student's. Raises `ConfigError` for
    numbers of heads that need one.
    """
    if match.feature != "attention":
        return {}
    heads = [(own.queries.shape[1], theirs.queries.shape[1]) for own, theirs in attentions]
    if match.proj is None:
        _check_heads(match, heads)
    return {
        f"{number}_{place}": nn.Linear(own, theirs, bias=False)
        for place, (own, theirs) in enumerate(heads)
        if match.proj == "linear" or (match.proj == "auto" and own != theirs)
    }


def register(projections: nn.ModuleDict, student: nn.Module, path: str) -> None:
    """To the student's device, and the same on all processes of a training.

    They run outside of `forward`, where DistributedDataParallel does not look for parameters: it
    leaves them alone, and they average their gradients themselves. `path` is where they will be.
    """
    projections.to(next(student.parameters()).device)
    for parameter in projections.parameters():
        parameter.register_post_accumulate_grad_hook(_average)
    names = [f"{path}.{name}" for name, _ in projections.named_parameters()]
    setattr(student, IGNORED, [*getattr(student, IGNORED, []), *names])


def unregister(student: nn.Module, path: str) -> None:
    """Nothing of `register` stays on the student."""
    left = [name for name in getattr(student, IGNORED, []) if not name.startswith(f"{path}.")]
    if left:
        setattr(student, IGNORED, left)
    elif hasattr(student, IGNORED):
        delattr(student, IGNORED)


def _average(parameter: Tensor) -> None:
    """Over the processes. What had accumulated before is equal on all of them already."""
    if dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1:
        dist.all_reduce(parameter.grad)
        parameter.grad.div_(dist.get_world_size())


def _check_widths(match: Match, widths: Sequence[tuple[int, int]]) -> None:
    odd = next(((own, theirs) for own, theirs in widths if own != theirs), None)
    if odd and match.loss in OF_ROWS:
        raise ConfigError(
            f"{match.name}: the student's states have {odd[0]} features, the teacher's {odd[1]}; "
            "set proj: linear, or compare relations"
        )


def _check_heads(match: Match, heads: Sequence[tuple[int, int]]) -> None:
    odd = next(((own, theirs) for own, theirs in heads if own != theirs), None)
    if odd:
        raise ConfigError(
            f"{match.name}: the student has {odd[0]} heads, the teacher {odd[1]}, and heads are "
            "compared one by one; set proj: linear (with loss: mse), or compare values (loss: kl)"
        )


def _width(state: Tensor) -> int:
    return state.shape[1] if state.dim() == 4 else state.shape[-1]
