#!/usr/bin/env python
"""``mgca-mm reproduce`` from a clone."""

import sys

from mgca_mm.cli.reproduce import main

if __name__ == "__main__":
    sys.exit(main())
