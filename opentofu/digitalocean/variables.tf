variable "environment" {
  description = "Name of this installation; outputs go to inventory/NAME.tofu.json, and everything made here carries it."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,14}[a-z0-9]$", var.environment))
    error_message = "The environment is 2 to 16 small letters, digits and hyphens, a letter first."
  }
}

variable "region" {
  description = "Region of the API and of the tunnel servers."
  type        = string
  default     = "fra1"

  validation {
    condition     = can(regex("^[a-z]{3}[0-9]$", var.region))
    error_message = "A region looks like fra1."
  }
}

variable "size" {
  description = "Size of the API's machine; the smallest serves some hundred admins."
  type        = string
  default     = "s-1vcpu-1gb"
}

variable "domain" {
  description = "Name by which clients know the API, in small letters."
  type        = string

  validation {
    condition     = can(regex("^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\\.)+[a-z]{2,}$", var.domain))
    error_message = "The domain is a host name in small letters, such as support.example.org, without a dot at its end."
  }
}

variable "dns_domain" {
  description = "Domain at DigitalOcean's name servers that holds the name, such as example.org; empty where names are kept elsewhere."
  type        = string
  default     = ""

  validation {
    condition     = var.dns_domain == "" || var.dns_domain == var.domain || endswith(var.domain, ".${var.dns_domain}")
    error_message = "The API's name has to lie in this domain."
  }
}

variable "admin_networks" {
  description = "Networks from which the machine may be reached by ssh, as CIDR."
  type        = set(string)

  validation {
    condition = length(var.admin_networks) > 0 && alltrue([
      for network in var.admin_networks : can(cidrhost(network, 0)) && try(tonumber(split("/", network)[1]) >= 8, false)
    ])
    error_message = "Each is a network such as 203.0.113.7/32, none wider than /8: ssh is not for the whole internet."
  }
}

variable "ssh_public_key" {
  description = "Ed25519 key that may log in to the machine as root, as in ~/.ssh/id_ed25519.pub."
  type        = string

  validation {
    condition     = can(regex("^ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA[A-Za-z0-9+/]{44}( [^\\n:]*)?$", trimspace(var.ssh_public_key)))
    error_message = "This is no public Ed25519 key ('ssh-ed25519 AAAA... comment', on one line)."
  }
}

variable "backups" {
  description = "Whether DigitalOcean keeps images of the whole machine for weeks. They hold the store, sealed messages included; `support-tunnel-api backup` leaves those out."
  type        = bool
  default     = false
}
