"""What self-training does, round by round."""

from typing import Literal

from pydantic import Field

from nlpcompress.core.config import Config


class SelfTrainingConfig(Config):
    """Pseudo-labels, the mix of examples, and the noise that the student learns under.

    The defaults are those of Xie et al. 2020 (Noisy Student) where the paper has one.
    """

    rounds: int = Field(
        3, ge=1, description="students in turn, each the teacher of the next; the paper has 3"
    )
    threshold: float = Field(
        0.3,
        ge=0,
        le=1,
        description="lowest probability of its best class that an unlabelled example is taken "
        "with; of two classes the best always has 0.5",
    )
    balance: bool = Field(
        True, description="take as many of each class: the most confident, repeated if too few"
    )
    per_class: int | None = Field(
        None,
        ge=1,
        description="how many of each class with balance; not given: the mean over the classes",
    )
    soft: bool = Field(
        True, description="learn the teacher's probabilities; false: its best class alone"
    )
    unlabelled_ratio: float | None = Field(
        14.0,
        gt=0,
        description="pseudo-labelled examples to one labelled: labelled ones are repeated to come "
        "near it, never left out; not given (null): each labelled one once",
    )
    dropout: float | None = Field(
        None, ge=0, lt=1, description="of all dropout layers in training; null: as the student has"
    )
    survival: float = Field(
        0.8,
        gt=0,
        le=1,
        description="chance of the last layer to count in training (stochastic depth), those "
        "before it more, in even steps; 1.0 = all count",
    )
    token_noise: float = Field(
        0.1,
        ge=0,
        lt=1,
        description="chance of a token of a training text to be hidden; the paper has pictures",
    )
    token_replacement: Literal["mask", "random"] = Field(
        "mask", description="what stands for a hidden token: the mask token, or any other"
    )
    shift: int = Field(
        4, ge=0, description="pixels a training picture is moved by at most; zeros come in"
    )
    flip: bool = Field(False, description="mirror every other training picture, left to right")
