"""Print a command of README.md, so that CI runs what users read: python .ci/readme_commands.py demo|test"""

import re
import sys
from pathlib import Path

text = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
found = re.search(rf"<!-- command: {re.escape(sys.argv[1])} -->\n```bash\n(.+?)\n```", text, re.DOTALL)
if not found:
    sys.exit(f"README.md has no command {sys.argv[1]!r}")
print(found[1])
