"""Products of a loss's Hessian with vectors, for many blocks of weights in one pass.

Blocks share the forward pass and the first backward; only the second backward is each block's own,
and goes no further down than the block lies.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
import torch.distributed
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from nlpcompress.core import counts
from nlpcompress.errors import DataError
from nlpcompress.scoring.examples import on_device_of
from nlpcompress.scoring.trace import no_trace

Batch = Mapping[str, Tensor]


class BlockHessians:
    """The blocks on the diagonal of the Hessian of the mean loss over some batches.

    `blocks` has the names of each block's parameters. Vectors are flat, float32, on the model's
    device: the parameters of the block one after the other. The loss is a mean over labels, so that
    batches weigh by theirs. The model runs in eval mode, its attention by torch's plain formula, as
    no other kernel can be differentiated twice. Between `opened` and its end nothing else may run.

    With `distributed` each process gives batches of its own, and all get the same products.

    Raises `DataError` without batches, or when the model returns no loss for them.
    """

    def __init__(
        self,
        model: nn.Module,
        blocks: Mapping[str, Sequence[str]],
        batches: Sequence[Batch],
        *,
        distributed: bool = False,
    ) -> None:
        if not batches:
            raise DataError("no batches to take a Hessian over; give at least one")
        self._model = model
        self._batches = batches
        self._distributed = distributed
        self._parameters = {
            block: [model.get_parameter(name) for name in names] for block, names in blocks.items()
        }
        weights = [float(counts.labels(batch)) for batch in batches]
        self._shares = [weight / self._total(sum(weights)) for weight in weights]

    @property
    def sizes(self) -> dict[str, int]:
        """Numbers in each block."""
        return {block: sum(p.numel() for p in own) for block, own in self._parameters.items()}

    def random_vectors(self, generator: torch.Generator) -> dict[str, Tensor]:
        """A standard normal vector a block, drawn on the CPU."""
        device = next(self._model.parameters()).device
        return {
            block: torch.randn(size, generator=generator).to(device)
            for block, size in self.sizes.items()
        }

    @contextmanager
    def opened(self) -> Iterator[None]:
        """The model as products need it; it is put back afterwards."""
        with no_trace(self._model), sdpa_kernel(SDPBackend.MATH), torch.enable_grad():
            for own in self._parameters.values():
                for parameter in own:
                    parameter.requires_grad_(True)
            yield

    @torch.no_grad()
    def loss(self) -> float:
        """The mean loss over the batches."""
        own = sum(
            share * float(self._loss(batch))
            for batch, share in zip(self._batches, self._shares, strict=True)
        )
        return self._total(own)

    def gradient_norms(self) -> dict[str, float]:
        """Length of the loss's gradient in each block: small where training has converged."""
        totals: dict[str, Tensor] = {}
        for batch, share in zip(self._batches, self._shares, strict=True):
            for block, gradients in self._gradients(batch, create_graph=False).items():
                _add(totals, block, share * _flat(gradients))
        return {block: float(total.norm()) for block, total in self._summed(totals).items()}

    def times(self, vectors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """H v of each block that has a vector; the others cost nothing but their gradient."""
        totals: dict[str, Tensor] = {}
        for batch, share in zip(self._batches, self._shares, strict=True):
            gradients = self._gradients(batch, create_graph=True, blocks=list(vectors))
            for number, (block, vector) in enumerate(vectors.items(), start=1):
                product = self._second(block, gradients[block], vector, keep=number < len(vectors))
                _add(totals, block, share * product)
        return self._summed(totals)

    def _gradients(
        self, batch: Batch, *, create_graph: bool, blocks: Sequence[str] | None = None
    ) -> dict[str, list[Tensor]]:
        loss = self._loss(batch)
        names = list(self._parameters) if blocks is None else blocks
        wanted = [parameter for block in names for parameter in self._parameters[block]]
        found = iter(
            torch.autograd.grad(
                loss, wanted, create_graph=create_graph, allow_unused=True, materialize_grads=True
            )
        )
        return {block: [next(found) for _ in self._parameters[block]] for block in names}

    def _loss(self, batch: Batch) -> Tensor:
        loss = getattr(self._model(**on_device_of(self._model, batch)), "loss", None)
        if loss is None:
            raise DataError(
                f"the model returned no loss for a batch of {', '.join(batch)}; a Hessian needs "
                "labelled batches"
            )
        return loss

    def _second(
        self, block: str, gradients: Sequence[Tensor], vector: Tensor, *, keep: bool
    ) -> Tensor:
        own = self._parameters[block]
        pieces = vector.split([parameter.numel() for parameter in own])
        along = sum(
            (gradient.flatten() * piece).sum()
            for gradient, piece in zip(gradients, pieces, strict=True)
        )
        products = torch.autograd.grad(
            along, own, retain_graph=keep, allow_unused=True, materialize_grads=True
        )
        return _flat(products)

    def _total(self, own: float) -> float:
        """Of all processes."""
        if not self._distributed:
            return own
        total = torch.tensor(own, dtype=torch.float64)
        torch.distributed.all_reduce(total)
        return float(total)

    def _summed(self, totals: dict[str, Tensor]) -> dict[str, Tensor]:
        if self._distributed:
            for total in totals.values():
                torch.distributed.all_reduce(total)
        return totals


def _flat(tensors: Sequence[Tensor]) -> Tensor:
    return torch.cat([tensor.detach().flatten().float() for tensor in tensors])


def _add(totals: dict[str, Tensor], block: str, value: Tensor) -> None:
    totals[block] = totals[block] + value if block in totals else value
