"""Measurements of speed and memory; ``mgca-mm benchmark`` is their command line."""
