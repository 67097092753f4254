# What each part promises, asked of it alone.

mock_provider "google" {}

run "three_ports_and_no_more" {
  command = plan

  module {
    source = "./modules/network"
  }

  variables {
    name           = "support-tunnel-trial"
    region         = "europe-west3"
    admin_networks = ["203.0.113.7/32"]
  }

  assert {
    condition     = flatten(google_compute_firewall.api.allow[*].ports) == ["443", "80"]
    error_message = "Other ports than the API's are open for everybody."
  }
  assert {
    condition     = google_compute_firewall.ssh.source_ranges == toset(["203.0.113.7/32"])
    error_message = "ssh is open for others than the admins."
  }
  assert {
    condition     = google_compute_network.this.auto_create_subnetworks == false
    error_message = "Google would make a subnetwork in every region."
  }
}

run "the_database_is_not_on_the_internet" {
  command = plan

  module {
    source = "./modules/database"
  }

  variables {
    name                = "support-tunnel-trial"
    region              = "europe-west3"
    zone                = "europe-west3-b"
    tier                = "db-f1-micro"
    network             = "projects/p/global/networks/n"
    backups             = 0
    deletion_protection = true
  }

  assert {
    condition = alltrue([for here in google_sql_database_instance.this.settings[0].ip_configuration :
    !here.ipv4_enabled && here.ssl_mode == "ENCRYPTED_ONLY"])
    error_message = "The database has an address on the internet, or takes connections without TLS."
  }
  assert {
    condition     = !google_sql_database_instance.this.settings[0].backup_configuration[0].enabled
    error_message = "Backups are made though none were wanted."
  }
  assert {
    condition     = google_sql_database_instance.this.deletion_protection && google_sql_database_instance.this.settings[0].deletion_protection_enabled
    error_message = "The database can be destroyed by a slip."
  }
}

run "the_host_may_do_nothing_in_the_cloud" {
  command = plan

  module {
    source = "./modules/api_host"
  }

  variables {
    name           = "support-tunnel-trial-api"
    environment    = "trial"
    region         = "europe-west3"
    zone           = "europe-west3-b"
    subnetwork     = "projects/p/regions/r/subnetworks/s"
    network_tag    = "support-tunnel-trial-api"
    login          = "operator"
    ssh_public_key = "ssh-ed25519 AAAA ann@laptop"
  }

  assert {
    condition     = length(google_compute_instance.this.service_account[0].scopes) == 0
    error_message = "The host's account has a scope."
  }
  assert {
    condition     = google_compute_instance.this.metadata["block-project-ssh-keys"] == "true"
    error_message = "Keys of the whole project open the host."
  }
}

run "a_name_of_14_letters_makes_an_account" {
  command = plan

  module {
    source = "./modules/api_host"
  }

  variables {
    name           = "support-tunnel-fourteen-chars-api"
    environment    = "fourteen-chars"
    region         = "europe-west3"
    zone           = "europe-west3-b"
    subnetwork     = "projects/p/regions/r/subnetworks/s"
    network_tag    = "support-tunnel-fourteen-chars-api"
    login          = "operator"
    ssh_public_key = "ssh-ed25519 AAAA ann@laptop"
  }

  assert {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", google_service_account.this.account_id))
    error_message = "Google takes no account of this name."
  }
}

run "two_names_of_16_letters_make_two_accounts" {
  command = plan

  module {
    source = "./modules/api_host"
  }

  variables {
    name           = "support-tunnel-sixteen-letter-1-api"
    environment    = "sixteen-letter-1"
    region         = "europe-west3"
    zone           = "europe-west3-b"
    subnetwork     = "projects/p/regions/r/subnetworks/s"
    network_tag    = "support-tunnel-sixteen-letter-1-api"
    login          = "operator"
    ssh_public_key = "ssh-ed25519 AAAA ann@laptop"
  }

  assert {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", google_service_account.this.account_id))
    error_message = "Google takes no account of this name."
  }
  assert {
    condition     = endswith(google_service_account.this.account_id, "sixteen-letter-1")
    error_message = "The account's name is not the whole environment's, so two environments may have the same."
  }
}

run "the_launcher_has_the_permissions_of_the_file" {
  command = plan

  module {
    source = "./modules/launcher"
  }

  variables {
    environment = "trial"
    launchers   = ["user:ann@example.org"]
  }

  assert {
    condition     = length(google_project_iam_custom_role.this.permissions) > 10
    error_message = "The role is not the file's."
  }
  assert {
    condition = alltrue([for permission in google_project_iam_custom_role.this.permissions :
    startswith(permission, "compute.") && !endswith(permission, "IamPolicy")])
    error_message = "The role reaches beyond servers, or gives rights to others."
  }
  assert {
    condition     = { for member, grant in google_service_account_iam_member.launchers : member => grant.role } == { "user:ann@example.org" = "roles/iam.serviceAccountTokenCreator" }
    error_message = "Others than the launchers may act as the account, or these may do more."
  }
}
