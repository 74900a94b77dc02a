#!/usr/bin/env python
"""``mgca-mm app`` from a clone."""

from mgca_mm.cli.app import main

if __name__ == "__main__":
    main()
