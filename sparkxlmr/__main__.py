"""``python -m sparkxlmr`` is the command ``sparkxlmr``."""

import sys

from sparkxlmr.cli import main

sys.exit(main())
