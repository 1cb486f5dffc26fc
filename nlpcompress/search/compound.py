"""Compound scaling: one number makes a network deeper, wider and its pictures larger, in step.

Source: Tan and Le 2019 (EfficientNet), section 3.3, equation 3: depth α^φ, width β^φ, resolution
γ^φ. With αβ²γ² near 2, which their 1.2, 1.1 and 1.15 have, each step of φ doubles the MACs.
"""

from pydantic import Field

from nlpcompress.core.config import Config


class CompoundScaling(Config):
    """`scaling: {phi: 1.0}`."""

    phi: float = Field(
        1.0, ge=-10, le=10, description="0: the network as its config has it; below 0: smaller"
    )
    alpha: float = Field(1.2, ge=1, le=4, description="depth grows by so much a step of phi")
    beta: float = Field(1.1, ge=1, le=4, description="width")
    gamma: float = Field(1.15, ge=1, le=4, description="the pictures' sides")

    @property
    def depth(self) -> float:
        """Times as many layers."""
        return float(self.alpha**self.phi)

    @property
    def width(self) -> float:
        """Times as many channels."""
        return float(self.beta**self.phi)

    @property
    def resolution(self) -> float:
        """Times as many pixels a side."""
        return float(self.gamma**self.phi)

    @property
    def macs(self) -> float:
        """About so many times the multiply-accumulates, of convolutions."""
        return self.depth * self.width**2 * self.resolution**2
