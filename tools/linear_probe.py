#!/usr/bin/env python
"""``mgca-mm probe`` from a clone."""

from mgca_mm.cli.probe import main

if __name__ == "__main__":
    main()
