"""What head and neuron importance share: score the axes with gates, in rounds, and rank."""

from collections.abc import Callable, Mapping, Sequence

from pydantic import Field
from torch import nn

from nlpcompress.axes import Axis
from nlpcompress.core.config import Config
from nlpcompress.core.method import Context
from nlpcompress.methods.pruning.ranking import Kept, Scores
from nlpcompress.scoring import Granularity, stored_taylor_scores

Choose = Callable[[Scores, float], Kept]


class ScoringConfig(Config):
    """How positions are scored; a method adds which of them it keeps."""

    keep: float = Field(0.5, gt=0, le=1, description="fraction of all positions to keep")
    granularity: Granularity = Field(
        "example", description="where the absolute value is taken: example, token or batch"
    )
    normalize: bool = Field(True, description="divide each layer's scores by their L2 norm")
    rounds: int = Field(1, ge=1, description="score again this often, dropping an equal share each")
    num_samples: int | None = Field(
        2048, ge=1, description="training examples to score with in each round; null: all"
    )


def final_scores(
    model: nn.Module, axes: Sequence[Axis], ctx: Context, *, config: ScoringConfig, choose: Choose
) -> dict[str, list[float]]:
    """Scores to decide on: those of the last round, positions that earlier rounds dropped at -1.

    With `rounds` > 1 each round drops an equal share of what goes, switches it off and scores
    again, as positions become more important when others that could stand in for them are gone.
    """
    dropped: dict[str, Sequence[int]] = {}
    for done in range(config.rounds):
        scores = _scores(model, axes, ctx, config=config, dropped=dropped)
        if done + 1 < config.rounds:
            keep = 1 - (1 - config.keep) * (done + 1) / config.rounds
            kept = choose(scores, keep)
            dropped = {name: _others(kept[name], len(scores[name])) for name in scores}
    return scores


def _scores(
    model: nn.Module,
    axes: Sequence[Axis],
    ctx: Context,
    *,
    config: ScoringConfig,
    dropped: Mapping[str, Sequence[int]],
) -> dict[str, list[float]]:
    scores = stored_taylor_scores(
        model,
        axes,
        ctx,
        num_samples=config.num_samples,
        granularity=config.granularity,
        normalize=config.normalize,
        dropped=dropped,
    )
    for name, positions in dropped.items():
        for position in positions:
            scores[name][position] = -1.0
    return scores


def _others(kept: Sequence[int], size: int) -> list[int]:
    return sorted(set(range(size)) - set(kept))
