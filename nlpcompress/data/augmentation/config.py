"""What a recipe says about augmentation; read without loading what does it."""

from typing import Self

from pydantic import Field, model_validator

from nlpcompress.core.config import Config


class AugmentConfig(Config):
    """How texts are copied with some of their words replaced.

    ```yaml
    augment: {masked_lm: bert-base-uncased, copies: 20}
    ```
    """

    copies: int = Field(
        20,
        gt=0,
        description="copies of every example; fewer where a text has not "
        "so many different ones (the paper's N_a; its code: 10 to 30 by task)",
    )
    probability: float = Field(
        0.4, gt=0, le=1, description="a word is replaced with this probability in a copy"
    )
    candidates: int = Field(
        15, gt=0, description="a word is replaced by one of at most this many (the paper's K)"
    )
    masked_lm: str | None = Field(
        None,
        min_length=1,
        description="folder or hub id of the masked language model that proposes words, read with "
        "its own tokenizer",
    )
    cache: str | None = Field(
        None,
        min_length=1,
        description="folder that keeps what the masked language model proposed, for several runs "
        "to share; by default a run keeps its own",
    )
    skip_stop_words: bool = Field(
        True, description="leave English stop words (scikit-learn's list) as they are"
    )
    max_length: int = Field(
        512,
        ge=8,
        description="tokens the masked language model sees at once, at most as many as it takes: a "
        "text and, where there is room, the text again; words further on are left as they are",
    )


class ReplaceConfig(Config):
    """How synthetic texts are made from real ones.

    ```yaml
    replace_tokens: {copies: 20}
    ```
    """

    copies: int = Field(20, gt=0, description="texts made of every example (the paper's n_iter)")
    mask_probability: float = Field(
        0.1, ge=0, le=1, description="a word becomes the mask token with this probability"
    )
    replace_probability: float = Field(
        0.1,
        ge=0,
        le=1,
        description="a word that is not masked becomes another word of the data, "
        "drawn by its frequency; the probability is that of a word, and with mask_probability at "
        "most 1",
    )
    ngram_probability: float = Field(
        0.25,
        ge=0,
        le=1,
        description="of a text only some words in a row are kept with this probability",
    )
    longest_ngram: int = Field(
        5, gt=0, description="how many words in a row are kept at most, all numbers alike"
    )

    @model_validator(mode="after")
    def _one_rule_a_word(self) -> Self:
        if self.mask_probability + self.replace_probability > 1:
            raise ValueError(
                f"mask_probability {self.mask_probability} and replace_probability "
                f"{self.replace_probability} add up to more than 1"
            )
        return self
