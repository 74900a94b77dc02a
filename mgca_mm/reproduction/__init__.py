"""The paper's downstream tables as a grid of runs; ``mgca-mm reproduce`` is its command line."""
