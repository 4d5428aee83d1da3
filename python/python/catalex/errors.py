"""What can go wrong. Every message says where, what was expected, what came, and what to do."""

__all__ = ["ArtifactError", "CatalexError", "ConfigError", "InputError", "ModelError", "ResourceError", "RunError"]


class CatalexError(Exception):
    """All errors of catalex."""


class InputError(CatalexError, ValueError):
    """The data is not what it should be."""


class ConfigError(CatalexError, ValueError):
    """A setting is out of range or contradicts another."""


class ArtifactError(CatalexError):
    """A file of catalex is damaged, foreign or of another version."""


class ModelError(ArtifactError):
    """A folder that is no model, a damaged one, or one of another version."""


class RunError(CatalexError, RuntimeError):
    """The `catalex` program failed, crashed, or was killed."""


class ResourceError(CatalexError, OSError):
    """The file system, memory, or something that this machine lacks."""
