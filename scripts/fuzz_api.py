"""Send what the OpenAPI document allows, and what it forbids, to a scripted server; fail on any 500 or wrong shape.

pip install schemathesis
python scripts/fuzz_api.py [number of examples for each route]
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from seekd.engine.scripted import say
from seekd.testing.server import serve_script

CHECKS = "not_a_server_error,response_schema_conformance,status_code_conformance,content_type_conformance"


def main(num_examples: int) -> int:
    """Run schemathesis; its exit status."""
    schemathesis = Path(sys.executable).with_name("schemathesis")
    if not schemathesis.exists():
        print("schemathesis is not installed: pip install schemathesis", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder, serve_script(say("Hello"), data_dir=Path(folder)) as server:
        command = [
            str(schemathesis),
            "run",
            f"{server.url}/openapi.json",
            f"--url={server.url}",
            f"--checks={CHECKS}",
            f"--max-examples={num_examples}",
            "--phases=coverage,fuzzing",
            "--continue-on-failure",
        ]
        return subprocess.run(command, cwd=folder, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 25))
