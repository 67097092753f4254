"""The check can fail: each slip of a pen, made in a copy, is refused by name; and the stand-in never passes for a provider."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.opentofu.tofu import Tofu


def mutated(configuration: Path, file: str, old: str, new: str) -> tuple[Path, str]:
    path = configuration / file
    text = path.read_text()
    assert text.count(old) == 1, f"{file} has {text.count(old)} times {old!r}"
    path.write_text(text.replace(old, new))
    return path, text


Mutation = tuple[str, str, str, str]
"""File, old text, new text, and what is said about it."""
UNEXPECTED = "An argument named {} is not expected here"
NOT_THERE = "This object has no argument, nested block, or exported attribute"

GCP: list[list[Mutation]] = [
    [
        ("modules/api_host/main.tf", "machine_type ", "machine_typ ", UNEXPECTED.format('"machine_typ"')),
        ("modules/api_host/main.tf", "  boot_disk {\n", "  boot_disc {\n", 'Blocks of type "boot_disc" are not expected here'),
        ("modules/api_host/main.tf", "    enable_vtpm ", "    enable_tpm ", UNEXPECTED.format('"enable_tpm"')),
        ("modules/database/main.tf", "    location_preference {\n", "    location_preference {\n    }\n    location_preference {\n",
         'No more than 1 "location_preference" blocks are allowed'),
        ("modules/network/main.tf", '"google_compute_subnetwork" "api" {', '"google_compute_subnet" "api" {', 'does not support resource type "google_compute_subnet"'),
        ("versions.tf", "default_labels = {", "default_label = {", UNEXPECTED.format('"default_label"')),
    ],
    [
        ("modules/api_host/main.tf", '  machine_type              = "e2-small"\n', "", 'The argument "machine_type" is required'),
        ("modules/names/main.tf", "zone.this.name\n  name         = \"${var.domain}.\"\n  type         = \"A\"", "zone.this.nam\n  name         = \"${var.domain}.\"\n  type         = \"A\"", NOT_THERE),
    ],
    [
        ("main.tf", "  network_tag    = module.network.api_tag\n", "", 'The argument "network_tag" is required'),
    ],
    [
        ("modules/names/main.tf", 'data "google_dns_managed_zone" "this" {', 'data "google_dns_zone" "this" {', 'google_dns_zone'),
        ("modules/api_host/main.tf", "  project = \"debian-cloud\"\n", "  project = [\"debian-cloud\"]\n", 'Inappropriate value for attribute "project"'),
    ],
]  # fmt: skip
DIGITALOCEAN: list[list[Mutation]] = [
    [
        ("main.tf", '    port_range       = "443"\n', '    port_rang        = "443"\n', UNEXPECTED.format('"port_rang"')),
        ("main.tf", '  image         = "debian-13-x64"\n', "", 'The argument "image" is required'),
    ],
    [
        ("main.tf", "digitalocean_droplet.api.id", "digitalocean_droplet.api.ident", NOT_THERE),
        ("outputs.tf", "var.region", "var.regio", 'An input variable with the name "regio" has not been declared'),
    ],
]  # fmt: skip


@pytest.mark.parametrize(
    ("configuration", "rounds"),
    [("gcp", GCP), ("digitalocean", DIGITALOCEAN)],
    indirect=["configuration"],
    ids=["gcp", "digitalocean"],
)
def test_a_slip_of_the_pen_is_refused_by_name(tofu: Tofu, configuration: Path, rounds: list[list[Mutation]]) -> None:
    """Those that do not hide each other at once, because each look costs a second: every one of them has to be told."""
    for mutations in rounds:
        before = {configuration / file: (configuration / file).read_text() for file, *_ in mutations}
        try:
            for file, old, new, _ in mutations:
                mutated(configuration, file, old, new)
            complaints = tofu.complaints(configuration)
        finally:
            for path, text in before.items():
                path.write_text(text)
        for file, _, _, said in mutations:
            here = [complaint for complaint in complaints if complaint.startswith(Path(file).name)]
            assert [complaint for complaint in here if said in complaint], (said, complaints)


@pytest.mark.parametrize("configuration", ["digitalocean"], indirect=True)
def test_a_broken_promise_is_found_by_the_mocks(tofu: Tofu, configuration: Path) -> None:
    path, text = mutated(
        configuration, "main.tf", "source_addresses = var.admin_networks", 'source_addresses = ["0.0.0.0/0"]'
    )
    try:
        done = tofu.run(configuration, "test", "-no-color")
    finally:
        path.write_text(text)
    assert done.returncode == 1
    assert "ssh is open for others than the admins." in done.stdout + done.stderr


@pytest.mark.parametrize("configuration", ["digitalocean"], indirect=True)
def test_the_stand_in_plans_nothing(tofu: Tofu, configuration: Path) -> None:
    done = tofu.run(
        configuration, "plan", "-no-color", "-var=environment=trial", "-var=domain=support.example.org", '-var=admin_networks=["203.0.113.7/32"]',
        f"-var=ssh_public_key=ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA{'A' * 44}",
    )  # fmt: skip
    assert done.returncode == 1
    assert "This is a stand-in that knows a schema and no cloud" in done.stdout + done.stderr
