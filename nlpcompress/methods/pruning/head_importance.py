"""Cuts the attention heads that the loss is least sensitive to, ranked over the whole model.

A head's importance is the mean over examples of |∂L/∂ξ|, ξ a gate of 1 on the head's output.
Grouped queries: a key-value head goes with all its queries. Layers that share weights lose the
same heads.

    - method: head_importance
      config: {keep: 0.5}

Source: Michel et al. 2019, sections 4.1 and 4.2 (scores normalised by layer, global ranking).
Differs: the absolute value is taken per example, as the paper's equation says; its code takes it
per token (`granularity: token`). At least `min_keep` heads stay in each layer; the paper has no
floor. The paper scores once and drops 10 % of the heads at a time; `rounds` scores again.
Cost: labelled data (`num_samples` examples a round); no teacher; no training, though a recipe
should train afterwards; one backward pass a batch, with frozen weights.
"""

from typing import ClassVar

from pydantic import Field
from torch import nn

from nlpcompress.axes import find_axes
from nlpcompress.core.method import Context, Method
from nlpcompress.core.plan import Plan
from nlpcompress.methods.pruning.importance import ScoringConfig, final_scores
from nlpcompress.methods.pruning.layer_axes import heads_to_cut
from nlpcompress.methods.pruning.ranking import Kept, Scores, keep_best, keep_plan
from nlpcompress.scoring import on_device_of


class HeadImportanceConfig(ScoringConfig):
    """How many heads stay, and how they are scored."""

    keep: float = Field(0.5, gt=0, le=1, description="fraction of all heads of the model to keep")
    min_keep: int = Field(1, ge=1, description="heads to keep at least in every attention layer")


class HeadImportance(Method):
    """Decides on heads by the gradient of gates."""

    name: ClassVar[str] = "head_importance"
    Config: ClassVar[type[HeadImportanceConfig]] = HeadImportanceConfig
    cuts: ClassVar[bool] = True
    needs_batches: ClassVar[bool] = True
    stores_scores: ClassVar[bool] = True

    def plan(self, model: nn.Module, ctx: Context) -> Plan:
        """One `keep` edit for each layer that loses heads. Raises `PlanError` if none can."""
        found = find_axes(model, on_device_of(model, ctx.example_inputs))
        scores = final_scores(
            model, heads_to_cut(found), ctx, config=self.config, choose=self._choose
        )
        return decide(scores, self.config)

    def _choose(self, scores: Scores, keep: float) -> Kept:
        return keep_best(scores, keep=keep, min_keep=self.config.min_keep)


def decide(scores: Scores, config: HeadImportanceConfig) -> Plan:
    """Keep the best heads of the model: axis name → score of each head, to `keep` edits."""
    kept = keep_best(scores, keep=config.keep, min_keep=config.min_keep)
    return keep_plan(scores, kept)
