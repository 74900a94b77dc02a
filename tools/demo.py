#!/usr/bin/env python
"""``mgca-mm demo`` from a clone."""

import sys

from mgca_mm.cli.demo import main

if __name__ == "__main__":
    sys.exit(main())
