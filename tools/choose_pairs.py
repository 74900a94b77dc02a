#!/usr/bin/env python
"""``mgca-mm choose`` from a clone."""

from mgca_mm.cli.choose import main

if __name__ == "__main__":
    main()
