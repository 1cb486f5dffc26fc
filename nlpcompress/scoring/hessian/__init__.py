"""The Hessian of the loss, block by block: how much it costs to move a block's weights."""

from nlpcompress.scoring.hessian.products import BlockHessians
from nlpcompress.scoring.hessian.spectrum import (
    Estimate,
    spectral_nodes,
    top_eigenvalues,
    traces,
)

__all__ = ["BlockHessians", "Estimate", "spectral_nodes", "top_eigenvalues", "traces"]
