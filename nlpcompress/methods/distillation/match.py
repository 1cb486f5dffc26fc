"""One line of `intermediate_matches`: which features are compared, where, and how."""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, model_validator

from nlpcompress.core.config import Config
from nlpcompress.methods.distillation.layer_maps import LAYER_MAPS

Feature = Literal["hidden", "attention", "queries", "keys", "values"]
Loss = Literal["mse", "cosine", "kl", "relation_distance", "relation_angle", "attention_transfer"]
LOSSES = {
    "hidden": ("mse", "cosine", "relation_distance", "relation_angle", "attention_transfer"),
    "attention": ("mse", "kl"),
    "queries": ("kl",),
    "keys": ("kl",),
    "values": ("kl",),
}
PROJECTED = {("attention", "mse"), *(("hidden", loss) for loss in LOSSES["hidden"])}
LayerPair = Annotated[tuple[NonNegativeInt, NonNegativeInt], Field(strict=False)]
LayerPairs = Annotated[tuple[LayerPair, ...], Field(strict=False)]


class Match(Config):
    """One kind of feature, at one layer or several, and how it is compared."""

    feature: Feature = Field("hidden", description="what is compared")
    loss: Loss = Field("mse", description="how; queries, keys and values by their relations (kl)")
    layer_S: int | str | None = Field(  # noqa: N815 (the field's word)
        None, description="the student's layer from 1, or the path of a module"
    )
    layer_T: int | str | None = Field(  # noqa: N815
        None, description="the teacher's layer from 1, or the path of a module"
    )
    layers: Literal["uniform", "last"] | LayerPairs | None = Field(
        None,
        description="instead of both: every layer of the student, each with one of the teacher; "
        "or pairs of layers as you choose them, the student's first: [[1, 2], [2, 4], [3, 6]]",
    )
    weight: float = Field(1.0, gt=0, description="in the training loss")
    proj: Literal["linear", "auto"] | None = Field(
        None,
        description="linear: project the student's states to the teacher's width, or its "
        "attentions to the teacher's heads; auto: only where these differ",
    )

    @model_validator(mode="after")
    def _fits(self) -> "Match":
        explicit = (self.layer_S is not None, self.layer_T is not None)
        if any(explicit) != all(explicit) or bool(self.layers) == any(explicit):
            raise ValueError("give layer_S and layer_T, or layers (uniform, last, pairs), not both")
        if self.loss not in LOSSES[self.feature]:
            raise ValueError(
                f"loss: {self.loss} is not for feature: {self.feature}; choose one of "
                f"{', '.join(LOSSES[self.feature])}"
            )
        paths = any(isinstance(layer, str) for layer in (self.layer_S, self.layer_T))
        if self.feature != "hidden" and paths:
            raise ValueError(f"paths of modules are for hidden, not for {self.feature}")
        if self.proj and (self.feature, self.loss) not in PROJECTED:
            raise ValueError(
                f"proj is for hidden states and for attentions compared by mse, not for "
                f"{self.feature} by {self.loss}"
            )
        return self

    @property
    def name(self) -> str:
        """In logs."""
        return f"{self.feature}_{self.loss}"

    def pairs(self, student_depth: int, teacher_depth: int) -> list[tuple[int | str, int | str]]:
        """The student's places, each with the teacher's. Raises `ConfigError` as layer maps do."""
        if self.layers is None:
            assert self.layer_S is not None and self.layer_T is not None
            return [(self.layer_S, self.layer_T)]
        if not isinstance(self.layers, str):
            return list(self.layers)
        first = 0 if self.feature == "hidden" else 1
        return list(LAYER_MAPS[self.layers](student_depth, teacher_depth, first=first))
