#!/usr/bin/env python
"""``mgca-mm compare`` from a clone."""

from mgca_mm.cli.compare import main

if __name__ == "__main__":
    main()
