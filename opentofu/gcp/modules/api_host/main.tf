# One small Debian host and its address. What runs on it comes from the role `api` (`fab api.deploy`), never from here.

data "google_compute_image" "debian" {
  family  = "debian-13"
  project = "debian-cloud"
}

resource "google_compute_address" "this" {
  name   = var.name
  region = var.region
}

resource "google_service_account" "this" {
  account_id   = "st-api-${var.environment}"
  display_name = "The API's host: may do nothing"
}

resource "google_compute_instance" "this" {
  name                      = var.name
  zone                      = var.zone
  machine_type              = "e2-small"
  tags                      = [var.network_tag]
  allow_stopping_for_update = true

  boot_disk {
    initialize_params {
      image = data.google_compute_image.debian.self_link
      size  = 10
      type  = "pd-balanced"
    }
  }

  network_interface {
    subnetwork = var.subnetwork

    access_config {
      nat_ip = google_compute_address.this.address
    }
  }

  # An account without a role, and no scope: whoever breaks into the API finds nothing of the cloud in the metadata server.
  service_account {
    email  = google_service_account.this.email
    scopes = []
  }

  shielded_instance_config {
    enable_secure_boot          = true
    enable_vtpm                 = true
    enable_integrity_monitoring = true
  }

  metadata = {
    "ssh-keys"               = "${var.login}:${var.ssh_public_key}"
    "block-project-ssh-keys" = "true"
    "enable-oslogin"         = "false"
    "serial-port-enable"     = "false"
    # The guest agent tells the host's ssh keys here, so that nobody has to trust the first connection.
    "enable-guest-attributes" = "true"
  }

  lifecycle {
    ignore_changes = [boot_disk[0].initialize_params[0].image] # a newer image is no reason to make the host anew
  }
}
