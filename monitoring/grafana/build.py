"""Write the dashboards, so that their queries stand once and side by side.

    python -m monitoring.grafana.build [FOLDER]

A test builds them anew and compares.
"""

import json
import sys
from pathlib import Path

from monitoring.grafana.engineering import ENGINEERING
from monitoring.grafana.gateways import GATEWAYS
from monitoring.grafana.line import LINE
from monitoring.grafana.panels import dashboard

__all__ = ["main"]


def main(folder: Path = Path(__file__).parent / "dashboards") -> None:
    """Write the dashboards into `folder`."""
    made_of = (("line", "Line", LINE), ("engineering", "Engineering", ENGINEERING), ("gateways", "Gateways", GATEWAYS))
    for name, title, rows in made_of:
        made = dashboard(f"shadowline-{name}", f"Shadowline: {title}", rows)
        (folder / f"{name}.json").write_text(json.dumps(made, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
