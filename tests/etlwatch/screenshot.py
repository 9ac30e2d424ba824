"""Make the README's picture from the running dashboard: `python -m tests.etlwatch.screenshot docs/dashboard.svg`.

It shows the drawn night on a store in memory, as somebody sees it who never chose an order or a window. Whoever looks
at it fetches no font.
"""

import asyncio
import os
import re
import sys
import tempfile
from pathlib import Path

from tests.etlwatch.dashboard import dashboard
from tests.etlwatch.night import night

SIZE = (120, 32)


async def picture() -> str:
    """Return the home screen as SVG."""
    async with dashboard(night(), size=SIZE, interval=1.0) as opened:
        svg = opened.app.export_screenshot(title="etlwatch")
    return re.sub(r"@font-face \{.*?\}", "", svg, flags=re.DOTALL)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as state:
        os.environ["XDG_STATE_HOME"] = state
        Path(sys.argv[1]).write_text(asyncio.run(picture()), encoding="utf-8")
