# `tofu test` with no cloud and no account: every resource is a mock.

mock_provider "digitalocean" {
  mock_resource "digitalocean_droplet" {
    defaults = {
      id = "4711" # DigitalOcean's are numbers, written as text
    }
  }
}

variables {
  environment    = "trial"
  domain         = "support.example.org"
  dns_domain     = "example.org"
  admin_networks = ["203.0.113.7/32"]
  ssh_public_key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGeVvZAMpJ0fHbRTtFNsq4GjWJYQDKYkKqdYBIkHKhkZ ann@laptop"
}

run "outputs_are_what_python_reads" {
  command = plan

  assert {
    condition     = toset(keys(output.settings)) == toset(["api", "cloud", "clouds"]) && output.settings.clouds.digitalocean.region == "fra1"
    error_message = "settings is not what support_tunnel/cli/admin/tofu_outputs.py knows."
  }
}

run "three_ports_and_no_more" {
  command = plan

  assert {
    condition     = toset(digitalocean_firewall.api.inbound_rule[*].port_range) == toset(["443", "80", "22"])
    error_message = "Other ports than the API's and ssh are open."
  }
  assert {
    condition = alltrue([for rule in digitalocean_firewall.api.inbound_rule :
    rule.source_addresses == toset(["203.0.113.7/32"]) if rule.port_range == "22"])
    error_message = "ssh is open for others than the admins."
  }
}

run "the_record_is_the_name_without_its_domain" {
  command = plan

  assert {
    condition     = digitalocean_record.address[0].name == "support" && digitalocean_record.authority[0].name == "support"
    error_message = "The record has another name."
  }
}

run "a_domain_may_be_the_name_itself" {
  command = plan

  variables {
    dns_domain = "support.example.org"
  }

  assert {
    condition     = digitalocean_record.address[0].name == "@"
    error_message = "The domain itself is written @."
  }
}

run "names_may_be_kept_elsewhere" {
  command = plan

  variables {
    dns_domain = ""
  }

  assert {
    condition     = length(digitalocean_record.address) == 0 && length(digitalocean_record.authority) == 0
    error_message = "Records are made though names are kept elsewhere."
  }
}

run "a_name_lies_in_its_domain" {
  command = plan

  variables {
    dns_domain = "xample.org"
  }

  expect_failures = [var.dns_domain]
}

run "wrong_words_are_refused" {
  command = plan

  variables {
    environment    = "Trial"
    region         = "Frankfurt"
    domain         = "Support.example.org"
    dns_domain     = ""
    admin_networks = ["203.0.113.7"]
    ssh_public_key = "-----BEGIN OPENSSH PRIVATE KEY-----"
  }

  expect_failures = [var.environment, var.region, var.domain, var.admin_networks, var.ssh_public_key]
}
