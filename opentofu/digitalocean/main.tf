# One machine: the API with its own store (SQLite), behind its own reverse proxy. What runs on it comes from the role `api`
# (`fab api.deploy`), never from here.

locals {
  name   = "support-tunnel-${var.environment}"
  record = trimsuffix(trimsuffix(var.domain, var.dns_domain), ".")
}

resource "digitalocean_ssh_key" "admin" {
  name       = local.name
  public_key = trimspace(var.ssh_public_key)
}

resource "digitalocean_vpc" "this" {
  name     = local.name
  region   = var.region
  ip_range = "10.78.0.0/24"
}

resource "digitalocean_droplet" "api" {
  name          = "${local.name}-api"
  region        = var.region
  size          = var.size
  image         = "debian-13-x64"
  vpc_uuid      = digitalocean_vpc.this.id
  ssh_keys      = [digitalocean_ssh_key.admin.id]
  ipv6          = true
  backups       = var.backups
  monitoring    = false # its agent is a program of a stranger, as root
  droplet_agent = false # the same, and it lets the console in
  tags          = [digitalocean_tag.api.id]

  lifecycle {
    ignore_changes = [image] # a newer image is no reason to make the machine anew
  }
}

# No tunnel server carries this tag, so `fab sweep` and this machine have nothing to do with each other.
resource "digitalocean_tag" "api" {
  name = "${local.name}-api"
}

# The address outlives the machine; it costs nothing while a machine has it.
resource "digitalocean_reserved_ip" "api" {
  region     = var.region
  droplet_id = digitalocean_droplet.api.id
}

resource "digitalocean_firewall" "api" {
  name = "${local.name}-api"
  tags = [digitalocean_tag.api.id]

  inbound_rule {
    protocol         = "tcp"
    port_range       = "443"
    source_addresses = ["0.0.0.0/0", "::/0"]
  }

  # The authority that gives the certificate asks here, and only then does something answer.
  inbound_rule {
    protocol         = "tcp"
    port_range       = "80"
    source_addresses = ["0.0.0.0/0", "::/0"]
  }

  inbound_rule {
    protocol         = "tcp"
    port_range       = "22"
    source_addresses = var.admin_networks
  }

  dynamic "outbound_rule" {
    for_each = toset(["tcp", "udp"])

    content {
      protocol              = outbound_rule.key
      port_range            = "1-65535"
      destination_addresses = ["0.0.0.0/0", "::/0"]
    }
  }
}

resource "digitalocean_record" "address" {
  count = var.dns_domain == "" ? 0 : 1

  domain = var.dns_domain
  type   = "A"
  name   = local.record == "" ? "@" : local.record
  value  = digitalocean_reserved_ip.api.ip_address
  ttl    = 300
}

# It holds for names with a star too. A record of its own for those, as at Google, is not to be had: DigitalOcean takes no ";" as a value.
resource "digitalocean_record" "authority" {
  count = var.dns_domain == "" ? 0 : 1

  domain = var.dns_domain
  type   = "CAA"
  name   = local.record == "" ? "@" : local.record
  value  = "letsencrypt.org."
  flags  = 0
  tag    = "issue"
  ttl    = 3600
}
