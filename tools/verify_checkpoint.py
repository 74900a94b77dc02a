#!/usr/bin/env python
"""``mgca-mm verify`` from a clone."""

import sys

from mgca_mm.cli.verify import main

if __name__ == "__main__":
    sys.exit(main())
