"""What a recipe says about augmentation; read without loading what does it."""

from pydantic import Field

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
