"""Features that were stored, read as those of a model that runs."""

from collections.abc import Mapping

from torch import Tensor

from nlpcompress.errors import ConfigError
from nlpcompress.models.features import Attention

FeatureName = tuple[str, int | str]
"""A kind (hidden, queries, keys, values) and a place: a layer's number, or a module's path."""


class StoredFeatures:
    """What stored features hold of a batch, read as `Features` of a model that runs.

    Until a batch has come it is one example, for sizes. `scales` are those of the layers'
    attentions.
    """

    def __init__(self, sample: Mapping[str, Tensor], scales: Mapping[int, float]) -> None:
        self.last, self._scales = sample, dict(scales)

    def state(self, place: int | str) -> Tensor:
        """Raises `ConfigError` when it was not stored."""
        return self._stored(("hidden", place))

    def attention(self, layer: int) -> Attention:
        """What of it was stored; the rest is None, and so is the bias. Raises `ConfigError`."""
        names = [(kind, layer) for kind in ("queries", "keys", "values")]
        if not any(key(name) in self.last for name in names):
            raise self._missing(("attention", layer))
        parts = [
            self._stored(name).transpose(1, 2) if key(name) in self.last else None for name in names
        ]
        return Attention(*parts, scale=self._scales[layer], bias=None)

    def close(self) -> None:
        """Nothing is held."""

    def _stored(self, name: FeatureName) -> Tensor:
        if key(name) not in self.last:
            raise self._missing(name)
        return self.last[key(name)].float()

    def _missing(self, name: FeatureName) -> ConfigError:
        return ConfigError(
            f"of the teacher {', '.join(self.last) or 'no features'} were stored, not "
            f"'{key(name)}'; leave teacher_cache out"
        )


def key(name: FeatureName) -> str:
    """`hidden 3`, the name of a feature in batches and files."""
    kind, place = name
    return f"{kind} {place}"
