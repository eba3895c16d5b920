"""The files under deploy/ name commands, variables and images that exist."""

# ruff: noqa: TID251 - Dagster's commands are what is tested

from __future__ import annotations

import configparser
import os
import re
import shlex
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import click
import pytest
import typer
import yaml

from benchmarks.places import placed, server_settings
from ingestion.core.settings import PROJECT_ROOT
from orchestration.cli.app import app
from tests import postgres as pg

DEPLOY = PROJECT_ROOT / "deploy"
LIBPQ = {"PGPASSFILE"}
IMAGE = {"POSTGRES_USER", "POSTGRES_PASSWORD_FILE", "RABBITMQ_DEFAULT_USER", "RABBITMQ_DEFAULT_PASS"}  # of the images
AWS = {"AWS_ENDPOINT_URL", "AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}  # botocore's own
OUR_SCRIPT = {"C4_PASSWORD_FILE"}  # deploy/postgres-init.sh


@cache
def programs() -> dict[str, Any]:
    """Ours and Dagster's; a process that only collects the tests goes without the webserver."""
    from dagster._cli import create_dagster_cli
    from dagster._daemon.cli import create_dagster_daemon_cli
    from dagster_webserver.cli import create_dagster_webserver_cli

    return {
        "c4": typer.main.get_command(app),
        "dagster": create_dagster_cli(),
        "dagster-daemon": create_dagster_daemon_cli(),
        "dagster-webserver": create_dagster_webserver_cli(),
    }


def compose() -> dict[str, Any]:
    return yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))


def units() -> dict[str, configparser.ConfigParser]:
    found = {}
    for path in (DEPLOY / "systemd").glob("c4*.*"):
        if path.suffix != ".env":
            found[path.name] = configparser.ConfigParser(strict=False, interpolation=None)
            found[path.name].optionxform = str  # type: ignore[assignment, method-assign]
            found[path.name].read_string(path.read_text(encoding="utf-8"))
    return found


def values() -> dict[str, Any]:
    return yaml.safe_load((DEPLOY / "kubernetes" / "values.yaml").read_text(encoding="utf-8"))


def commands() -> list[list[str]]:
    """Every command of ours or Dagster's that a file under deploy/ starts or tells a person to type."""
    found = []
    for name, service in compose()["services"].items():
        found += [service["command"]] if "command" in service and name != "postgres" else []
        health = service.get("healthcheck", {}).get("test", [])
        found += [health[1:]] if health and health[1] in programs() else []
    for unit in units().values():
        if unit.has_option("Service", "ExecStart"):
            program, *arguments = shlex.split(unit.get("Service", "ExecStart"))
            assert program.startswith("/opt/c4/.venv/bin/")
            found.append([Path(program).name, *arguments])
    for deployment in values()["dagster-user-deployments"]["deployments"]:
        found.append(["dagster", "api", "grpc", *deployment["dagsterApiGrpcArgs"], "--port", str(deployment["port"])])
    readme = (DEPLOY / "README.md").read_text(encoding="utf-8")
    typed = [line for block in re.findall(r"```\n(.*?)```", readme, re.DOTALL) for line in block.splitlines()]
    found += [shlex.split(line)[shlex.split(line).index("c4") :] for line in typed if " code c4 " in line]
    dockerfile = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    found += [yaml.safe_load(line) for line in re.findall(r"^CMD (.*)$", dockerfile, re.MULTILINE)]
    return found


@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_every_command_is_understood(command: list[str]) -> None:
    """Catches: a service that ends at once with a usage error; a command that was renamed."""
    program, *rest = command
    parser, context = programs()[program], click.Context(programs()[program], info_name=program)
    while isinstance(parser, click.Group) and rest:
        name, found, rest = parser.resolve_command(context, rest)
        assert found is not None, f"{program} has no command {name}"
        parser = found
        context = click.Context(found, parent=context, info_name=name)
    installed = str(PROJECT_ROOT)
    rest = [re.sub(r"^(/app|/opt/c4)(?=/)", installed, argument) for argument in rest]
    parser.parse_args(context, rest)  # raises a UsageError for an option that is none


def test_every_variable_is_read_by_somebody() -> None:
    """Catches: a setting that was renamed, or that nothing ever read."""
    sources = [
        path for folder in ("ingestion", "orchestration", "assets") for path in (PROJECT_ROOT / folder).rglob("*.py")
    ]
    read = set(re.findall(r"\"(C4_[A-Z_]+)\"", "".join(path.read_text(encoding="utf-8") for path in sources)))
    read |= set(re.findall(r"env: ([A-Z0-9_]+)", (DEPLOY / "workspace.yaml").read_text(encoding="utf-8")))
    named: set[str] = set()
    for service in compose()["services"].values():
        named |= set(service.get("environment", {}))
    named |= set(
        re.findall(r"^([A-Z0-9_]+)=", (DEPLOY / "systemd" / "c4.env").read_text(encoding="utf-8"), re.MULTILINE)
    )
    for deployment in values()["dagster-user-deployments"]["deployments"]:
        named |= {variable["name"] for variable in deployment["env"]}
    dagster = {"DAGSTER_HOME", *options_from_the_environment()}
    assert named - read - dagster - LIBPQ - IMAGE - AWS - OUR_SCRIPT == set()
    script = (DEPLOY / "postgres-init.sh").read_text(encoding="utf-8")
    assert all(f"${name}" in script for name in OUR_SCRIPT)


def options_from_the_environment() -> set[str]:
    """Variables that Dagster's commands take options from, by name or by click's prefix."""
    grpc = programs()["dagster"].commands["api"].commands["grpc"]  # type: ignore[attr-defined]
    found = {str(option.envvar) for option in grpc.params if option.envvar}
    return found | {
        f"DAGSTER_WEBSERVER_{option.name.upper()}" for option in programs()["dagster-webserver"].params if option.name
    }


def test_a_server_starts_with_its_settings() -> None:
    """Catches: a database that does not start because a line of its configuration is none; a file that nobody mounts;
    benchmarks of another server."""
    settings = server_settings()
    with placed("postgres") as place:
        assert {name: pg.execute(place.url, f"show {name}")[0][0] for name in settings} == settings
    service = compose()["services"]["postgres"]
    mounted = dict(volume.split(":")[:2] for volume in service["volumes"])
    assert f"config_file={mounted['./postgres.conf']}" in service["command"]


def test_every_image_is_pinned_and_nobody_is_root() -> None:
    """Catches: a deployment that is another one tomorrow; a service that may write where it likes."""
    for name, service in compose()["services"].items():
        assert re.search(r":\d+\.\d+", service["image"]), name
        if name not in ("postgres", "broker"):  # their images start as root to own a volume, then become another
            assert service["user"] == "10001:10001", name
            assert service["cap_drop"] == ["ALL"], name
    dockerfile = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    stages = set(re.findall(r" AS (\S+)", dockerfile))
    for image in re.findall(r"^FROM (\S+)", dockerfile, re.MULTILINE):
        assert image in stages or re.search(r":\d+\.\d+\.\d+", image), image
    assert "USER 10001:10001" in dockerfile
    assert dockerfile.count("--require-hashes") == dockerfile.count("pip install") - 1  # our own package has none
    deployment = values()["dagster-user-deployments"]["deployments"][0]
    assert deployment["image"]["tag"].startswith("0.1.0")
    assert deployment["securityContext"]["runAsNonRoot"]


def test_every_service_is_looked_after() -> None:
    """Catches: a service that stays down after a crash, or that starts before what it needs is there."""
    services = compose()["services"]
    assert services["worker"]["restart"] == "unless-stopped"
    for name in ("code", "webserver", "daemon", "serve", "listen", "live"):
        assert services[name]["restart"] == "unless-stopped"
        assert name in ("listen", "live") or services[name]["healthcheck"]["test"], name  # these listen on no port
        assert units()[f"c4-{name}.service"].get("Service", "Restart") == "always"
        assert units()[f"c4-{name}.service"].get("Service", "KillMode") == "control-group"
    assert {service for service in services if "command" in services[service]} == {
        "postgres",
        "prepare",
        "code",
        "webserver",
        "daemon",
        "serve",
        "listen",
        "live",
        "worker",
    }
    wanted = units()["c4.target"].get("Unit", "Wants").split()
    assert set(wanted) == {name for name in units() if name.endswith(".service")}


def test_secrets_stay_out_of_the_files_and_the_image() -> None:
    """Catches: a password in a URL of the repository; secrets that a build copies into the image."""
    for path in DEPLOY.rglob("*"):
        if path.is_file() and path.suffix in {".yaml", ".env", ".service"}:
            assert not re.search(r"postgresql://[^@/\s]+:[^@\s]+@", path.read_text(encoding="utf-8")), path.name
    ignored = (PROJECT_ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert ignored[0] == "*"
    assert not [line for line in ignored if line.startswith("!") and "secret" in line]
    assert subprocess.run(
        ["git", "check-ignore", "deploy/secrets/c4.key"], cwd=PROJECT_ROOT, env={**os.environ}, check=False
    ).returncode in (0, 128)  # 128: not a clone
