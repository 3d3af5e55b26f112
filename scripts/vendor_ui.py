"""Fetch the libraries that the pages use, from the npm registry, and write down what they are.

    python scripts/vendor_ui.py            fetch the versions of the manifest again
    python scripts/vendor_ui.py --check    fetch nothing; compare the files with the manifest

`src/seekd/ui/static/vendor/manifest.json` names package, version, licence, and each file with its SHA-256. To update a
library, change its version there and in NOTICE and run this script; then look at the pages and run `make test-ui`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

VENDOR = Path(__file__).resolve().parent.parent / "src" / "seekd" / "ui" / "static" / "vendor"
MANIFEST = VENDOR / "manifest.json"


def main() -> int:
    """Fetch or compare; 1 when a file is not what the manifest says."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="fetch nothing; say which files differ from the manifest")
    check = parser.parse_args().check
    packages = json.loads(MANIFEST.read_text(encoding="utf-8"))
    if check:
        wrong = [target for package in packages for target in package["files"] if not is_as_written(package, target)]
        if wrong:
            print(f"Not as the manifest says: {', '.join(wrong)}", file=sys.stderr)
        return 1 if wrong else 0
    for package in packages:
        fetch(package)
    MANIFEST.write_text(json.dumps(packages, indent=2) + "\n", encoding="utf-8")
    return 0


def is_as_written(package: dict[str, Any], target: str) -> bool:
    """Whether a vendored file has the digest of the manifest."""
    file = VENDOR / target
    return file.exists() and _digest(file.read_bytes()) == package["files"][target]["sha256"]


def fetch(package: dict[str, Any]) -> None:
    """Download one package, copy its files and write their digests into its entry."""
    name = f"{package['package']}@{package['version']}"
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            ["npm", "pack", "--silent", name], cwd=folder, check=True, capture_output=True, text=True, timeout=300
        )
        with tarfile.open(Path(folder) / done.stdout.split()[-1]) as archive:
            described = json.loads(_member(archive, "package.json"))
            if described["license"] != package["licence"]:
                raise SystemExit(f"{name} is licensed as {described['license']}, not as {package['licence']}.")
            for target, entry in package["files"].items():
                data = _member(archive, entry["source"])
                (VENDOR / target).parent.mkdir(parents=True, exist_ok=True)
                (VENDOR / target).write_bytes(data)
                entry["sha256"] = _digest(data)
    print(f"{name}: {', '.join(package['files'])}")


def _member(archive: tarfile.TarFile, path: str) -> bytes:
    name = f"package/{path}"
    file = archive.extractfile(name) if name in archive.getnames() else None
    if file is None:
        raise SystemExit(f"{archive.name} has no file {path}. Change the manifest.")
    return file.read()


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


if __name__ == "__main__":
    sys.exit(main())
