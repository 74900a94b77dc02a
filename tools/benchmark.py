#!/usr/bin/env python
"""``mgca-mm benchmark`` from a clone."""

from mgca_mm.cli.benchmark import main

if __name__ == "__main__":
    main()
