# The API's name, and which authority may give certificates for it.

data "google_dns_managed_zone" "this" {
  name = var.zone
}

resource "google_dns_record_set" "address" {
  managed_zone = data.google_dns_managed_zone.this.name
  name         = "${var.domain}."
  type         = "A"
  ttl          = 300
  rrdatas      = [var.address]
}

resource "google_dns_record_set" "authority" {
  managed_zone = data.google_dns_managed_zone.this.name
  name         = "${var.domain}."
  type         = "CAA"
  ttl          = 3600
  rrdatas      = ["0 issue \"letsencrypt.org\"", "0 issuewild \";\""]
}
