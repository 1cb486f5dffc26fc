"""Layers one after the other, named "0", "1", …, in a module that other modules can be added to."""

from torch import nn


class Chain(nn.Module):
    """As `nn.Sequential`, but what is added later does not run."""

    def __init__(self, *layers):
        super().__init__()
        self._order = [str(i) for i in range(len(layers))]
        for name, layer in zip(self._order, layers, strict=True):
            self.add_module(name, layer)

    def __getitem__(self, index):
        return self.get_submodule(str(index))

    def forward(self, values):
        for name in self._order:
            values = self.get_submodule(name)(values)
        return values
