"""Real servers for a screen that moves real traffic are beside the suites of control."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "control"))
