"""The version of this distribution, which every run that it records carries.

Written here and not asked of the installed metadata: that question costs a job more time than its whole first request.
A test holds it equal to pyproject.toml.
"""

from __future__ import annotations

from typing import Final

VERSION: Final = "0.1.0"
