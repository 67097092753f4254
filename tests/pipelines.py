"""The pipelines of docs/ci.md, as commands that a test can run: the page's own words, in a checkout of the test's own."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from support_tunnel.adapters import processes
from support_tunnel.cli import paths
from support_tunnel.core.ports import Completed

__all__ = ["PAGE", "block", "checkout", "jobs", "run_job"]

PAGE = (paths.REPOSITORY / "docs" / "ci.md").read_text()


def block(heading: str, language: str) -> str:
    """The one code block under a heading of the page."""
    section = re.split(r"^## ", PAGE, flags=re.MULTILINE)
    (text,) = [part for part in section if part.startswith(heading + "\n")]
    (found,) = re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)
    return str(found)


def jobs() -> dict[str, dict[str, list[str]]]:
    """By system and job: the commands in their order, those that always run last."""
    github: dict[str, Any] = yaml.safe_load(block("GitHub Actions", "yaml"))["jobs"]
    gitlab: dict[str, Any] = yaml.safe_load(block("GitLab", "yaml"))
    return {
        "GitHub": {name: [step["run"] for step in job["steps"] if "run" in step] for name, job in github.items()},
        "GitLab": {name: [*job["script"], *job.get("after_script", [])] for name, job in gitlab.items()},
    }


def checkout(folder: Path) -> Path:
    """A checkout as a runner has one: what commands write into it stays out of the real one."""
    folder.mkdir()
    for path in paths.REPOSITORY.iterdir():
        if not path.name.startswith("."):
            (folder / path.name).symlink_to(path)
    return folder


def run_job(commands: Sequence[str], where: Path, *, timeout: float, env: Mapping[str, str]) -> list[Completed]:
    """Run each command as a runner does, one shell after the other, until one fails."""
    found = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    ended: list[Completed] = []
    for command in commands:
        words = ["env", "-C", str(where), "sh", "-e", "-c", command]
        variables = {"PATH": found, "CI": "true", "PYTHONDONTWRITEBYTECODE": "1", **env}
        ended.append(processes.run(words, timeout=timeout, accept=None, env=variables))
        if ended[-1].status:
            break
    return ended
