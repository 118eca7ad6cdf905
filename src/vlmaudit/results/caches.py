"""Where what was worked out once is kept across runs."""

import os
from pathlib import Path


def cache_folder() -> Path:
    """Where caches live: ``$VLMAUDIT_CACHE``, else ``vlmaudit`` in the user's cache folder."""
    if own := os.environ.get("VLMAUDIT_CACHE"):
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vlmaudit"
