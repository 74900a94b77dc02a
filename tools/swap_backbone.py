#!/usr/bin/env python
"""``mgca-mm swap`` from a clone."""

from mgca_mm.cli.swap import main

if __name__ == "__main__":
    main()
