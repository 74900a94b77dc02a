#!/usr/bin/env python
"""``mgca-mm prepare`` from a clone."""

import sys

from mgca_mm.cli.prepare import main

if __name__ == "__main__":
    sys.exit(main())
