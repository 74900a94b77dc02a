#!/usr/bin/env python
"""``mgca-mm convert`` from a clone."""

from mgca_mm.cli.convert import main

if __name__ == "__main__":
    main()
