"""What `hessian_mixed` can be told."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from nlpcompress.core.config import Config
from nlpcompress.models.ranges import Range
from nlpcompress.scoring.hessian.sensitivity import Kind

Bits = Annotated[int, Field(ge=2, le=8)]


class HessianMixedConfig(Config):
    """How many bits, for whom, and in which groups."""

    bits: Bits | Annotated[tuple[Bits, ...], Field(strict=False, min_length=1)] = Field(
        (2, 3), description="of each weight of the body; several: the Hessian says who gets which"
    )
    effective_bits: float | None = Field(
        None,
        gt=0,
        description="mean bits a weight of the body, scales and zero points counted, spent where "
        "they save most loss; without a budget the less sensitive half gets the fewer bits",
    )
    megabytes: float | None = Field(
        None,
        gt=0,
        description="instead: what the body's weights may take, packed, in 10^6 bytes, scales and "
        "zero points counted",
    )
    max_loss_share: float | None = Field(
        None,
        gt=0,
        le=1,
        description="instead: the least size that loses (the sum of Ω·‖ΔW‖²) at most this share of "
        "what the fewest `bits` for all would lose",
    )
    floors: Mapping[str, Bits] = Field(
        {},
        description="with a budget: the least bits of blocks whose names match, such as "
        "{layers.0: 4} or {'*.query.weight': 3}; of several that match the greatest",
    )
    sensitivity: Kind = Field(
        "eigenvalue",
        description="of a block: Ω = |mean| + spread of its Hessian's greatest eigenvalue over the "
        "`runs` (Q-BERT), or trace: the mean of its trace by its size (HAWQ-V2)",
    )
    order: Literal["sensitivity", "reversed"] = Field(
        "sensitivity",
        description="reversed: the control, which gives most bits to the least sensitive (with "
        "`max_loss_share` in the size that the sensitive order takes)",
    )
    blocks: Literal["layers", "matrices"] | None = Field(
        None, description="what has one number of bits; null: layers, matrices where there are none"
    )
    runs: int = Field(10, ge=1, description="parts of the data to take sensitivities on")
    num_samples: int = Field(256, ge=1, description="examples of each run")
    groups: int | None = Field(
        128,
        ge=1,
        description="groups of rows in each matrix, or the most below that divide it; null: by "
        "`group_size`",
    )
    group_size: Annotated[int, Field(ge=1)] | Literal[-1] = Field(
        -1, description="columns of a group in each row; -1: all of them"
    )
    sym: bool = Field(False, description="zero in the middle of every range")
    range: Range = Field("min_max", description="where ranges end; see the edit quantize")
    compensate: bool = Field(
        False,
        description="what rounding one column loses the columns not rounded yet make up for, on "
        "the inputs that `num_samples` examples give (GPTQ); a training starts from there",
    )
    fold_norms: bool = Field(
        True,
        description="without a training: what batch norms multiply by goes into the filters before "
        "them first",
    )
    embedding_bits: Bits | None = Field(
        8, description="of tables, by rows, trained if fewer than 8; null: they stay floats"
    )
    input_bits: Bits | None = Field(
        None,
        description="of what the body's layers are given (8 in the paper), for runtimes that "
        "multiply integers; null: inputs stay floats",
    )
    input_range: Literal["dynamic", "static"] = Field(
        "dynamic",
        description="between each call's own ends, or fixed ones: moving averages in a training, "
        "without one means over `num_samples` examples",
    )
    train_ranges: Literal["moving", "learned", "fixed"] | None = Field(
        None,
        description="ranges in a training: moving averages, learned (LSQ), or those of the start; "
        "null: moving, for the range mse learned",
    )
    range_momentum: float = Field(0.99, ge=0, lt=1, description="of the moving averages, a step")
    step_learning_rate: float = Field(1e-4, gt=0, description="of learned steps")

    @field_validator("bits")
    @classmethod
    def _ascending(cls, bits: int | tuple[int, ...]) -> int | tuple[int, ...]:
        if not isinstance(bits, int) and list(bits) != sorted(set(bits)):
            raise ValueError("several bits must ascend without repeats")
        return bits

    @model_validator(mode="after")
    def _fits(self) -> "HessianMixedConfig":
        if self.group_size != -1 and self.groups is not None:
            raise ValueError("groups are of whole rows; group_size goes with groups: null")
        self._check_budget()
        self._check_floors()
        if self.range == "mse" and self.train_ranges == "moving":
            raise ValueError("range mse takes too long for every step; train_ranges: learned")
        return self

    def _check_budget(self) -> None:
        given = self.budgets
        if len(given) > 1:
            raise ValueError(f"{_listed(given)} are budgets; give only one of them")
        if not given and len(self.choices) > 2:
            raise ValueError(
                "three and more bits are dealt out by a budget; give effective_bits, megabytes or "
                "max_loss_share"
            )
        if given and len(self.choices) == 1:
            raise ValueError(
                f"{_listed(given)} chooses among several bits, and bits is {self.choices[0]}; give "
                "more bits, or drop the budget"
            )

    def _check_floors(self) -> None:
        if self.floors and not self.budgets:
            raise ValueError(
                "floors bound what a budget deals out; give effective_bits, megabytes or "
                "max_loss_share, or drop the floors"
            )
        for name, floor in self.floors.items():
            if floor > self.choices[-1]:
                raise ValueError(
                    f"floors: '{name}' must get at least {floor} bits, but bits are "
                    f"{', '.join(map(str, self.choices))}; lower the floor or offer more bits"
                )

    @property
    def budgets(self) -> dict[str, float]:
        """The budgets that are given, by their keys: one or none."""
        names = ("effective_bits", "megabytes", "max_loss_share")
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}

    @property
    def choices(self) -> tuple[int, ...]:
        """The bits, as many as there are."""
        return (self.bits,) if isinstance(self.bits, int) else self.bits


def _listed(budgets: Mapping[str, float]) -> str:
    return " and ".join(f"{name} ({value})" for name, value in budgets.items())
