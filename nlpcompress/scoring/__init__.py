"""Looks at a model and says what its positions and weights are worth. Leaves no trace."""

from nlpcompress.scoring.empty import empty_positions
from nlpcompress.scoring.evidence import evidence_rank
from nlpcompress.scoring.examples import example_outputs, first_examples, on_device_of
from nlpcompress.scoring.input_ends import input_ends
from nlpcompress.scoring.inputs import input_moments, token_counts
from nlpcompress.scoring.magnitude import magnitude_scores
from nlpcompress.scoring.map_ranks import map_rank_scores
from nlpcompress.scoring.norm_scales import scale_scores, scales_on
from nlpcompress.scoring.saliency import grasp_scores, snip_scores, synflow_scores
from nlpcompress.scoring.sharing import best_sources
from nlpcompress.scoring.spectrum import energies, nearest_of_rank, rank_of_energy
from nlpcompress.scoring.stored_taylor import stored_taylor_scores
from nlpcompress.scoring.taylor import Granularity, taylor_scores
from nlpcompress.scoring.taylor_weights import taylor_weight_scores
from nlpcompress.scoring.trace import no_trace, same_randomness
from nlpcompress.scoring.two_layers import two_layer_scores
from nlpcompress.scoring.uses import weight_uses

__all__ = [
    "Granularity",
    "best_sources",
    "empty_positions",
    "energies",
    "evidence_rank",
    "example_outputs",
    "first_examples",
    "grasp_scores",
    "input_ends",
    "input_moments",
    "magnitude_scores",
    "map_rank_scores",
    "nearest_of_rank",
    "no_trace",
    "on_device_of",
    "rank_of_energy",
    "same_randomness",
    "scale_scores",
    "scales_on",
    "snip_scores",
    "stored_taylor_scores",
    "synflow_scores",
    "taylor_scores",
    "taylor_weight_scores",
    "token_counts",
    "two_layer_scores",
    "weight_uses",
]
