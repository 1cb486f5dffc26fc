"""What methods that choose by gradients can be told of the choice."""

from pydantic import Field

from nlpcompress.core.config import Config


class ChoosingConfig(Config):
    """How a choice among sizes is learnt, and when it is made."""

    choose_at: float = Field(
        0.5, gt=0, le=1, description="share of the training after which the choice is made"
    )
    choice_learning_rate: float = Field(
        0.05, gt=0, description="learning rate of the shares, without weight decay"
    )
    size_weight: float = Field(
        1.0, ge=0, description="price of expecting twice the budget, in the training loss"
    )
