import sys

from mgca_mm.cli import main

if __name__ == "__main__":
    sys.exit(main())
