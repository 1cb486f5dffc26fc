"""What a recipe says about its data."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from nlpcompress.core.config import Config

Policy = Literal["cifar10", "svhn", "imagenet"]
PICTURE_CHANGES = ("crop", "flip", "autoaugment", "randaugment", "mixup")
"""Keys of what changes training pictures at random."""
Columns = Annotated[tuple[str, ...], Field(strict=False, min_length=1, max_length=2)]


class MaskingConfig(Config):
    """How plain text becomes masked language modelling: `masking: {smoothing: 0.7}`."""

    probability: float = Field(
        0.15, gt=0, lt=1, description="share of the tokens that are to be told, in expectation"
    )
    smoothing: float = Field(
        0.0,
        ge=0,
        le=2,
        description="a token is chosen for training by count^-smoothing: rare ones more often; "
        "0: all alike (DistilBERT was taught with 0.7)",
    )
    ngram: int = Field(
        1,
        ge=1,
        le=10,
        description="choose whole words, in spans of one to so many with p(n) ∝ 1/n (ALBERT was "
        "taught with 3); 1: each token on its own",
    )
    group: bool = Field(
        True,
        description="join the texts and cut them into blocks of max_length; false: a text a row",
    )

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if self.ngram > 1 and self.smoothing > 0:
            raise ValueError(
                f"smoothing {self.smoothing} chooses single tokens and ngram {self.ngram} spans; "
                "leave one of them out"
            )
        return self


class RandAugmentConfig(Config):
    """Random changes of training pictures: `randaugment: {num_ops: 2, magnitude: 9}`."""

    num_ops: int = Field(2, ge=1, le=14, description="operations on each picture (N)")
    magnitude: float = Field(9, ge=0, le=30, description="their strength, of 30 (M)")


class MixupConfig(Config):
    """Training pictures mixed in pairs: `mixup: {alpha: 0.2}`."""

    alpha: float = Field(
        0.2,
        gt=0,
        description="their shares are drawn from Beta(alpha, alpha): small, mostly one of them",
    )


class DataConfig(Config):
    """One data set and how it is read.

    ```yaml
    data: {name: movie-snippets, max_length: 64}
    data: {name: csv, files: {train: a.csv, test: b.csv}, label_column: stars}
    data: {name: glue/sst2, max_length: 128, train_samples: 20000}
    data: {name: bbc-news, max_length: 128, masking: {smoothing: 0.7}}
    ```
    """

    name: str = Field(
        min_length=1,
        description="a built-in name (`nlpcompress ls data`), a file format (csv, tsv, json, "
        "parquet) or a hub id, owner/name or owner/name/configuration (glue/sst2 works too)",
    )
    path: str | None = Field(
        None,
        min_length=1,
        description="file or folder where the source of a built-in data set lies; left out, the "
        "usual places are searched",
    )
    files: dict[str, str] = Field(
        default_factory=dict,
        description="for file formats: the file of each split, train and (optional) test; without "
        "test, a fixed fifth of train is held out",
    )
    text_columns: Columns | None = Field(
        None,
        description="the column of the text, or the two columns of a pair; left out, the usual "
        "names are tried",
    )
    label_column: str | None = Field(
        None,
        min_length=1,
        description="the column of the label; left out, `label` and `labels` are tried; masked-lm "
        "has none",
    )
    max_length: int = Field(
        128, ge=2, le=65536, description="tokens a text is cut to, special tokens included"
    )
    train_samples: int | None = Field(
        None,
        gt=0,
        description="use at most this many training rows (documents, where pairs of segments are "
        "made of them), drawn with the recipe's seed",
    )
    test_samples: int | None = Field(
        None,
        gt=0,
        description="use at most this many test rows (or documents), the same ones whatever the "
        "seed",
    )
    validation: bool = Field(
        False,
        description="judge on a fixed fifth of the training rows, and leave the test set alone: to "
        "choose between recipes",
    )
    masking: MaskingConfig | None = Field(
        None,
        description="for the tasks masked-lm and pretraining: which tokens are to be told; left "
        "out, 15 %",
    )
    image_size: int | None = Field(
        None,
        ge=4,
        le=1024,
        description="for image-classification without an image processor: pixels a side that "
        "pictures are resized to; left out, they stay as large as they are",
    )
    crop: int = Field(
        0,
        ge=0,
        le=64,
        description="for image-classification: pictures trained on move by up to so many pixels "
        "(4 on CIFAR-10)",
    )
    flip: bool = Field(
        False,
        description="for image-classification: half of the pictures trained on are mirrored, left "
        "to right",
    )
    autoaugment: Policy | None = Field(
        None,
        description="for image-classification: one of the 25 pairs of operations of a published "
        "policy on each picture trained on",
    )
    randaugment: RandAugmentConfig | None = Field(
        None, description="for image-classification: random changes of the pictures trained on"
    )
    mixup: MixupConfig | None = Field(
        None,
        description="for image-classification: pictures trained on are mixed in pairs, and their "
        "labels",
    )

    @model_validator(mode="after")
    def _one_policy(self) -> Self:
        if self.autoaugment is not None and self.randaugment is not None:
            raise ValueError(
                f"autoaugment {self.autoaugment} and randaugment both say which operations change "
                "a picture; leave one of them out"
            )
        return self
