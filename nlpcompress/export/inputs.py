"""What goes into an exported graph: which inputs, which of their dimensions are free."""

from collections.abc import Mapping

from torch import Tensor

NOT_INPUTS = frozenset({"labels", "start_positions", "end_positions"})
"""Keys of a training batch that no exported graph takes."""


def model_inputs(batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The inputs of `batch`, labels left out, each free dimension at least 2 long.

    `torch.export` takes a dimension of 1 for fixed, so an example of one row is doubled.
    """
    inputs = {name: value for name, value in batch.items() if name not in NOT_INPUTS}
    sizes = _sizes(inputs)
    return resized(inputs, {name: max(2, size) for name, size in sizes.items()})


def free_dimensions(inputs: Mapping[str, Tensor]) -> dict[str, dict[int, str]]:
    """Input name → {dimension: its name}.

    The first dimension of every input is `batch`; the second of ids and masks (integers and
    booleans) is `length`, of a decoder's `decoder_length`. The sides of pictures are fixed.

    >>> import torch
    >>> free_dimensions({"input_ids": torch.ones(2, 5, dtype=torch.long)})
    {'input_ids': {0: 'batch', 1: 'length'}}
    """
    free: dict[str, dict[int, str]] = {}
    for name, value in inputs.items():
        free[name] = {0: "batch"} if value.ndim else {}
        if value.ndim > 1 and not value.is_floating_point():
            free[name][1] = "decoder_length" if name.startswith("decoder_") else "length"
    return free


def other_shape(inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same inputs with one row more and, for text, about half the length.

    Shorter, because a longer text may not fit the model's positions.
    """
    sizes = _sizes(inputs)
    other = {
        name: size + 1 if name == "batch" else max(1, size // 2) for name, size in sizes.items()
    }
    return resized(inputs, other)


def resized(inputs: Mapping[str, Tensor], sizes: Mapping[str, int]) -> dict[str, Tensor]:
    """The inputs with their free dimensions cut to `sizes`, or filled up by starting anew."""
    result = {}
    for name, dimensions in free_dimensions(inputs).items():
        value = inputs[name]
        for dimension, label in dimensions.items():
            value = _to_size(value, dimension, sizes[label])
        result[name] = value
    return result


def _sizes(inputs: Mapping[str, Tensor]) -> dict[str, int]:
    return {
        label: inputs[name].shape[dimension]
        for name, dimensions in free_dimensions(inputs).items()
        for dimension, label in dimensions.items()
    }


def _to_size(value: Tensor, dimension: int, size: int) -> Tensor:
    copies = -(-size // value.shape[dimension])
    repeats = [copies if d == dimension else 1 for d in range(value.ndim)]
    return value.repeat(repeats).narrow(dimension, 0, size)
