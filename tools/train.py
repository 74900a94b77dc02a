#!/usr/bin/env python
"""``mgca-mm train`` from a clone."""

from mgca_mm.cli.train import main

if __name__ == "__main__":
    main()
