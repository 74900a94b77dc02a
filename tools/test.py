#!/usr/bin/env python
"""``mgca-mm test`` from a clone."""

from mgca_mm.cli.test import main

if __name__ == "__main__":
    main()
