"""Drops the tokens that the training texts do not have, or have least, from table and tokenizer.

Half of a small encoder is its table of tokens, and a task uses a part of it. Texts of the tokens
that stay are read as before, to the last bit; others are spelled in what is left.

    - method: keep_vocabulary
      config: {size: 8000}

Source: Abdaoui et al. 2020 (Load What You Need), section 3, who keep the tokens of some languages.
Differs: tokens are chosen by the task's own texts; single characters of what stays, all bytes of a
byte-level tokenizer, and all that BPE merges the kept tokens from, stay too.
Cost: one pass over the training texts, no model. A stage after it learns from a teacher by its
stored answers (`cache_teacher: true`), for that one reads its own tokens.
"""

from collections.abc import Callable, Collection, Mapping
from typing import ClassVar

from pydantic import Field
from torch import nn

from nlpcompress.core.config import Config
from nlpcompress.core.edits import KeepVocabulary
from nlpcompress.core.method import Context, Method
from nlpcompress.core.plan import Plan
from nlpcompress.errors import ConfigError, PlanError
from nlpcompress.models.tokenizers import needs_of, own_tokens
from nlpcompress.models.vocabulary import tokens_up_to_padding
from nlpcompress.scoring import token_counts


class KeepVocabularyConfig(Config):
    """How many tokens stay."""

    size: int | None = Field(
        None,
        gt=0,
        description="so many tokens at most, the most frequent ones; null: all that occur",
    )
    min_count: int = Field(
        1, ge=1, description="a token stays if the training texts have it at least so often"
    )


class DropTokens(Method):
    """Decides by counts of tokens."""

    name: ClassVar[str] = "keep_vocabulary"
    Config: ClassVar[type[KeepVocabularyConfig]] = KeepVocabularyConfig
    cuts: ClassVar[bool] = True
    renumbers: ClassVar[bool] = True
    needs_batches: ClassVar[bool] = True

    def plan(self, model: nn.Module, ctx: Context) -> Plan:
        """One edit, or none where all tokens stay.

        Raises `PlanError` without a tokenizer that can be cut, `ConfigError` for a size that its
        own tokens do not leave room in.
        """
        if ctx.processor is None:
            raise PlanError(
                "keep_vocabulary cuts model and tokenizer together, and there is no tokenizer; "
                "give the trainer processing_class="
            )
        total = model.config.vocab_size
        counts = dict(enumerate(token_counts(ctx.batches(), total).tolist()))
        own = {*own_tokens(ctx.processor), *tokens_up_to_padding(model)}
        kept = decide(counts, own, needs_of(ctx.processor), self.config)
        return Plan((KeepVocabulary(tokens=kept),)) if len(kept) < total else Plan()


def decide(
    counts: Mapping[int, int],
    own: Collection[int],
    needs: Callable[[int], Collection[int]],
    config: KeepVocabularyConfig,
) -> tuple[int, ...]:
    """The ids that stay, ascending: `own` ones, then the most frequent with all that each needs.

    Of equal counts the lower id comes first; the first that has no room is the last looked at.
    Raises `ConfigError` when `own` alone are too many.
    """
    kept, most = set(own), config.size or len(counts)
    if len(kept) > most:
        raise ConfigError(
            f"keep_vocabulary: size is {most}, but {len(kept)} tokens stay in any case (special "
            f"ones, bytes); write {len(kept)} or more"
        )
    seen = [token for token, count in counts.items() if count >= config.min_count]
    for token in sorted(seen, key=lambda token: (-counts[token], token)):
        more = {*needs(token)} - kept
        if len(kept) + len(more) > most:
            break
        kept |= more
    return tuple(sorted(kept))
