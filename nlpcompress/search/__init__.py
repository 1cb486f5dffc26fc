"""Which of several choices each part of a model gets, under a budget. No torch."""

from nlpcompress.search.allocate import allocate, allocate_for_loss
from nlpcompress.search.choice import Choice, Total, above_floors, total
from nlpcompress.search.ranking import by_ranking, reversed_ranks
from nlpcompress.search.size import effective_bits, megabytes_to_bits

__all__ = [
    "Choice",
    "Total",
    "above_floors",
    "allocate",
    "allocate_for_loss",
    "by_ranking",
    "effective_bits",
    "megabytes_to_bits",
    "reversed_ranks",
    "total",
]
