#!/usr/bin/env python
"""``mgca-mm phantom`` from a clone."""

import sys

from mgca_mm.cli.phantom import main

if __name__ == "__main__":
    sys.exit(main())
