"""The exceptions. Every message states the location, the expected and the actual value, and what to do."""

__all__ = ["ArtifactError", "CatalexError", "ConfigError", "InputError", "ModelError", "ResourceError", "RunError"]


class CatalexError(Exception):
    """Base class of all errors of catalex."""


class InputError(CatalexError, ValueError):
    """The input data is not as expected."""


class ConfigError(CatalexError, ValueError):
    """A setting is unknown, out of range, or contradicts another."""


class ArtifactError(CatalexError):
    """A file of catalex is damaged, or of a version that this release does not read, or is another kind of file."""


class ModelError(ArtifactError):
    """A folder that is not a model, is damaged, or is of a version that this release does not read."""


class RunError(CatalexError, RuntimeError):
    """The `catalex` program failed, crashed, or was killed."""


class ResourceError(CatalexError, OSError):
    """An error of the file system, too little memory, or a program or library that is not installed."""
