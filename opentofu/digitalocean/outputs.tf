# These two are all that Python reads (support_tunnel/cli/admin/tofu_outputs.py), and none may hold a secret.

output "settings" {
  description = "What the settings of admins need to know, by the names that they have there."
  value = {
    api   = "https://${var.domain}"
    cloud = "digitalocean"
    clouds = {
      digitalocean = {
        region = var.region
      }
    }
  }
}

output "api_host" {
  description = "Where `fab api.deploy` goes."
  value = {
    address = digitalocean_reserved_ip.api.ip_address
    domain  = var.domain
    login   = "root"
  }
}
