"""``python -m torchmist`` is the command ``torchmist``."""

import sys

from torchmist.cli import main

if __name__ == "__main__":
    sys.exit(main())
