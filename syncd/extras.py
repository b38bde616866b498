"""The optional parts of the package, and how one that is missing is brought to where this program runs.

Most who run ``syncd`` have it in an environment of its own (pipx, uv, a virtual environment), which the ``pip`` of
their shell knows nothing of: the line that is suggested names that environment.  May import ``syncd.errors``.
"""

from __future__ import annotations

import importlib.util
import shlex
import sys

from syncd.errors import ConfigError


def missing(part: str, extra: str) -> ConfigError:
    """Return the error that ``part`` needs an extra which is not installed; its hint is the line that installs it."""
    python = shlex.quote(sys.executable)
    has_pip = importlib.util.find_spec("pip") is not None
    installer = f"{python} -m pip install" if has_pip else f"uv pip install --python {python}"
    return ConfigError(
        f"{part} needs the extra {extra!r}, which is not installed", hint=f"{installer} 'syncd[{extra}]'"
    )
