"""Every error a user can meet. Each says what was wrong, the value, what is allowed, what to do."""


class NlpCompressError(Exception):
    """Base of all errors that mean "the input or the environment is wrong", never a bug of ours."""


class UnknownNameError(NlpCompressError):
    """A name that is not in a table; the message holds the nearest one."""


class ConfigError(NlpCompressError):
    """A config or recipe value that is missing, unknown, of a wrong type or out of bounds."""


class PlanError(NlpCompressError):
    """A plan that cannot be applied to this model."""


class AxisError(NlpCompressError):
    """The model's graph cannot be read, or an axis that may not be cut was asked for."""


class VerificationError(NlpCompressError):
    """A sliced model that does not compute what its masked original computes."""


class DataError(NlpCompressError):
    """Missing, empty or unsuitable data."""


class FormatError(NlpCompressError):
    """A folder that is not a model of ours, is torn, or was written by a newer format version."""


class ParityError(NlpCompressError):
    """An exported model whose outputs or task metric leave the bound around the original's."""


class LaunchError(NlpCompressError):
    """Processes that were started in a way that cannot work."""


class HubError(NlpCompressError):
    """The hub cannot be reached, or does not let us push."""
