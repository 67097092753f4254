# `tofu test` with no cloud and no account: every resource is a mock.

mock_provider "google" {}

variables {
  environment    = "trial"
  project        = "support-trial-1"
  domain         = "support.example.org"
  admin_networks = ["203.0.113.7/32"]
  ssh_public_key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGeVvZAMpJ0fHbRTtFNsq4GjWJYQDKYkKqdYBIkHKhkZ ann@laptop"
}

run "outputs_are_what_python_reads" {
  assert {
    condition     = toset(keys(output.settings)) == toset(["api", "cloud", "clouds"])
    error_message = "settings has other keys than support_tunnel/cli/admin/tofu_outputs.py knows."
  }
  assert {
    condition     = output.settings.api == "https://support.example.org" && output.settings.clouds.gce.region == "europe-west3-b"
    error_message = "The API's URL or the zone is wrong."
  }
  assert {
    condition     = output.api_host.login == "operator" && output.api_host.database != ""
    error_message = "The API's host is not told whole."
  }
  assert {
    condition     = length(module.names) == 0
    error_message = "Names are made though no zone was given."
  }
}

run "names_are_made_in_a_given_zone" {
  command = plan

  variables {
    dns_zone = "example-org"
  }

  assert {
    condition     = module.names[*].name == ["support.example.org."]
    error_message = "A zone was given and no name is made."
  }
}

run "ssh_is_not_for_everybody" {
  command = plan

  variables {
    admin_networks = ["0.0.0.0/0"]
  }

  expect_failures = [var.admin_networks]
}

run "ssh_is_for_somebody" {
  command = plan

  variables {
    admin_networks = []
  }

  expect_failures = [var.admin_networks]
}

run "wrong_words_are_refused" {
  command = plan

  variables {
    environment      = "Trial"
    project          = "12345"
    region           = "europe-west3-b"
    zone_letter      = "europe-west3-b"
    domain           = "https://support.example.org"
    ssh_public_key   = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABgQ ann@laptop"
    login            = "root"
    database_tier    = "e2-small"
    database_backups = 31
    launchers        = ["ann@example.org"]
  }

  expect_failures = [
    var.environment, var.project, var.region, var.zone_letter, var.domain, var.ssh_public_key, var.login, var.database_tier,
    var.database_backups, var.launchers,
  ]
}
