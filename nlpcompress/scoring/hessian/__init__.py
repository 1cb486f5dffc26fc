"""The Hessian of the loss, block by block: how much it costs to move a block's weights."""

from nlpcompress.scoring.hessian.blocks import blocks_of
from nlpcompress.scoring.hessian.products import BlockHessians
from nlpcompress.scoring.hessian.sensitivity import Runs, Sensitivity, sensitivities
from nlpcompress.scoring.hessian.spectrum import (
    Estimate,
    spectral_nodes,
    top_eigenvalues,
    traces,
)
from nlpcompress.scoring.hessian.stored import stored_sensitivities

__all__ = [
    "BlockHessians",
    "Estimate",
    "Runs",
    "Sensitivity",
    "blocks_of",
    "sensitivities",
    "spectral_nodes",
    "stored_sensitivities",
    "top_eigenvalues",
    "traces",
]
