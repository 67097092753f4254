# One network with nothing in it that anybody reaches, but the API's two ports and ssh from the admins' networks. What a tunnel server
# needs is opened for that tunnel by the tool that launches it, and closed with it.

resource "google_compute_network" "this" {
  name                    = var.name
  auto_create_subnetworks = false
}

resource "google_compute_subnetwork" "api" {
  name                     = "${var.name}-api"
  region                   = var.region
  network                  = google_compute_network.this.id
  ip_cidr_range            = "10.78.0.0/28"
  private_ip_google_access = true
}

resource "google_compute_subnetwork" "tunnels" {
  name          = "${var.name}-tunnels"
  region        = var.region
  network       = google_compute_network.this.id
  ip_cidr_range = "10.78.16.0/20"
}

locals {
  api_tag = "${var.name}-api"
}

resource "google_compute_firewall" "api" {
  name          = "${var.name}-api"
  network       = google_compute_network.this.id
  description   = "The API, and the authority that gives it its certificate."
  source_ranges = ["0.0.0.0/0"]
  target_tags   = [local.api_tag]

  allow {
    protocol = "tcp"
    ports    = ["443", "80"]
  }
}

resource "google_compute_firewall" "ssh" {
  name          = "${var.name}-ssh"
  network       = google_compute_network.this.id
  description   = "ssh to the API's host, from the admins' networks."
  source_ranges = var.admin_networks
  target_tags   = [local.api_tag]

  allow {
    protocol = "tcp"
    ports    = ["22"]
  }
}

# The database has an address in a network of Google's, which this peering leads to; it has none on the internet.
resource "google_compute_global_address" "services" {
  name          = "${var.name}-services"
  purpose       = "VPC_PEERING"
  address_type  = "INTERNAL"
  address       = "10.79.0.0"
  prefix_length = 20
  network       = google_compute_network.this.id
}

resource "google_service_networking_connection" "services" {
  network                 = google_compute_network.this.id
  service                 = "servicenetworking.googleapis.com"
  reserved_peering_ranges = [google_compute_global_address.services.name]
  deletion_policy         = "ABANDON" # Google refuses to end it for days after a database was in it; it goes with the network
}
