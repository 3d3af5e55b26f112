"""The files under deploy/ for containers: what they name exists in seekd, and they agree with one another."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import seekd
from seekd.config import load
from seekd.settings import Settings

ROOT = Path(__file__).parents[2]
CONTAINER = ROOT / "deploy" / "container" / "Containerfile"
COMPOSE = ROOT / "deploy" / "compose"
KUBERNETES = ROOT / "deploy" / "kubernetes"
PORT = 8000


def _documents() -> dict[str, dict[str, Any]]:
    """The Kubernetes objects by kind and name."""
    files = [file for file in KUBERNETES.glob("*.yaml") if file.stem != "kustomization"]
    objects = [entry for file in files for entry in yaml.safe_load_all(file.read_text(encoding="utf-8"))]
    return {f"{entry['kind']}/{entry['metadata']['name']}": entry for entry in objects}


def _compose_services() -> Iterator[tuple[str, dict[str, Any]]]:
    for file in sorted(COMPOSE.glob("*.yaml")):
        for name, service in yaml.safe_load(file.read_text(encoding="utf-8"))["services"].items():
            yield f"{file.stem}-{name}", service


def _settings(environment: dict[str, str], file: Path | None = None) -> Settings:
    """The settings of a server that is started so; an unknown name is an error."""
    return load(Settings, environment=environment, file=file).settings


def test_the_image_sets_settings_that_exist() -> None:
    text = CONTAINER.read_text(encoding="utf-8")
    settings = _settings(dict(re.findall(r"(SEEKD_\w+)=(\S+)", text)))
    assert settings.server.host == "0.0.0.0"  # a container; seekd refuses it without a key
    assert settings.server.port == PORT
    assert f"EXPOSE {PORT}" in text
    assert f"VOLUME {settings.server.data_dir}" in text


def test_the_image_is_made_of_everything_that_the_package_needs() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needed = {"src", "pyproject.toml", "constraints.txt", project["readme"], *project["license-files"]}
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", CONTAINER.read_text(encoding="utf-8"), re.MULTILINE)
    assert kept == needed == {name for names in copied for name in names.split()}


@pytest.mark.parametrize("service", [pytest.param(service, id=name) for name, service in _compose_services()])
def test_a_compose_service_names_files_and_settings_that_exist(service: dict[str, Any]) -> None:
    for volume in service.get("volumes", ()):
        source = volume.split(":")[0]
        assert not source.startswith(".") or (COMPOSE / source).exists(), source
    ours = {name: text for name, text in service.get("environment", {}).items() if name.startswith("SEEKD_")}
    _settings({name: re.sub(r"\$\{[^}]+\}", "password", text) for name, text in ours.items()})
    for text in ours.values():
        assert (
            "password" not in text.lower() or "${POSTGRES_PASSWORD:?" in text
        )  # given by who starts it, never by the file
    for port in service.get("ports", ()):
        assert port.startswith("127.0.0.1:"), "a service must not be open to the network without TLS"


def test_the_kustomization_lists_every_manifest() -> None:
    listed = yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text(encoding="utf-8"))
    there = {file.name for file in KUBERNETES.glob("*.yaml")} - {"kustomization.yaml"}
    assert set(listed["resources"]) == there
    assert [image["newTag"] for image in listed["images"]] == [seekd.__version__]
    for generator in listed["configMapGenerator"]:
        assert all((KUBERNETES / name).exists() for name in generator["files"])


def test_gateways_in_kubernetes_start_with_settings_that_exist() -> None:
    pod = _documents()["StatefulSet/seekd"]["spec"]["template"]["spec"]
    settings = _settings({}, KUBERNETES / "seekd.toml")
    assert pod["terminationGracePeriodSeconds"] > settings.server.shutdown_grace_s
    container = pod["containers"][0]
    mounts = {mount["mountPath"] for mount in container["volumeMounts"]}
    assert str(settings.server.data_dir.parent) in mounts
    assert container["ports"][0]["containerPort"] == settings.server.port
    assert str(settings.server.data_dir / "admin-token") in pod["initContainers"][0]["args"][0]


def test_every_selector_finds_the_gateways() -> None:
    documents = _documents()
    labels = documents["StatefulSet/seekd"]["spec"]["template"]["metadata"]["labels"]
    selectors = [
        documents["StatefulSet/seekd"]["spec"]["selector"]["matchLabels"],
        documents["Service/seekd"]["spec"]["selector"],
        documents["Service/seekd-pods"]["spec"]["selector"],
        documents["PodDisruptionBudget/seekd"]["spec"]["selector"]["matchLabels"],
        documents["NetworkPolicy/seekd"]["spec"]["podSelector"]["matchLabels"],
    ]
    assert all(selector.items() <= labels.items() for selector in selectors)
    migration = documents["Job/seekd-migrate"]["spec"]["template"]["metadata"]["labels"]
    assert not documents["Service/seekd"]["spec"]["selector"].items() <= migration.items()


def test_the_autoscaler_asks_for_a_metric_that_seekd_has() -> None:
    metric = _documents()["HorizontalPodAutoscaler/seekd"]["spec"]["metrics"][0]["pods"]["metric"]["name"]
    source = (ROOT / "src" / "seekd" / "service" / "metrics.py").read_text(encoding="utf-8")
    assert f'"{metric}"' in source


@pytest.mark.parametrize("kind", ["StatefulSet/seekd", "Job/seekd-migrate"])
def test_no_pod_has_privileges(kind: str) -> None:
    pod = _documents()[kind]["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert not pod["automountServiceAccountToken"]
    for container in [*pod["containers"], *pod.get("initContainers", ())]:
        context = container["securityContext"]
        assert context["readOnlyRootFilesystem"]
        assert not context["allowPrivilegeEscalation"]
        assert context["capabilities"] == {"drop": ["ALL"]}
