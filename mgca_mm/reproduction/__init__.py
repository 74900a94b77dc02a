"""The paper's downstream tables as a grid of runs; ``tools/reproduce.py`` is its command line."""
