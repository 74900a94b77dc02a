"""``python -m mgca_mm COMMAND``: the command line where no ``mgca-mm`` is on the path."""

import sys

from mgca_mm.cli import main

if __name__ == "__main__":
    sys.exit(main())
