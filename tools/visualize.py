#!/usr/bin/env python
"""``mgca-mm visualize`` from a clone."""

from mgca_mm.cli.visualize import main

if __name__ == "__main__":
    main()
