#!/usr/bin/env python
"""``mgca-mm real-bench`` from a clone."""

from mgca_mm.cli.real_bench import main

if __name__ == "__main__":
    main()
