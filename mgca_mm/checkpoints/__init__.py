"""Checkpoints of other projects, in our names."""

from .released_mgca import convert_released_mgca

__all__ = ["convert_released_mgca"]
