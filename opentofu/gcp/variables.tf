variable "environment" {
  description = "Name of this installation; outputs go to inventory/NAME.tofu.json, and everything made here carries it."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,14}[a-z0-9]$", var.environment))
    error_message = "The environment is 2 to 16 small letters, digits and hyphens, a letter first."
  }
}

variable "project" {
  description = "Id of the Google Cloud project; best one that holds nothing else."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project))
    error_message = "This is no id of a project (its id, not its name or number)."
  }
}

variable "region" {
  description = "Region of the API, its database and the tunnel servers."
  type        = string
  default     = "europe-west3"

  validation {
    condition     = can(regex("^[a-z]+-[a-z]+[0-9]+$", var.region))
    error_message = "A region looks like europe-west3."
  }
}

variable "zone_letter" {
  description = "Which zone of the region; most have a, b and c."
  type        = string
  default     = "b"

  validation {
    condition     = can(regex("^[a-f]$", var.zone_letter))
    error_message = "A zone's letter is one of a to f."
  }
}

variable "domain" {
  description = "Name by which clients know the API, in small letters."
  type        = string

  validation {
    condition     = can(regex("^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\\.)+[a-z]{2,}$", var.domain))
    error_message = "The domain is a host name in small letters, such as support.example.org, without a dot at its end."
  }
}

variable "dns_zone" {
  description = "Name of a managed zone in Cloud DNS that holds the domain; empty where names are kept elsewhere."
  type        = string
  default     = ""
}

variable "admin_networks" {
  description = "Networks from which the API's host may be reached by ssh, as CIDR."
  type        = set(string)

  validation {
    condition = length(var.admin_networks) > 0 && alltrue([
      for network in var.admin_networks : can(cidrhost(network, 0)) && try(tonumber(split("/", network)[1]) >= 8, false)
    ])
    error_message = "Each is a network such as 203.0.113.7/32, none wider than /8: ssh is not for the whole internet."
  }
}

variable "ssh_public_key" {
  description = "Ed25519 key that may log in to the API's host, as in ~/.ssh/id_ed25519.pub."
  type        = string

  validation {
    condition     = can(regex("^ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA[A-Za-z0-9+/]{44}( [^\\n:]*)?$", trimspace(var.ssh_public_key)))
    error_message = "This is no public Ed25519 key ('ssh-ed25519 AAAA... comment', on one line)."
  }
}

variable "login" {
  description = "Account on the API's host that the key opens; Google's guest agent gives it sudo."
  type        = string
  default     = "operator"

  validation {
    condition     = can(regex("^[a-z][a-z0-9_]{0,30}$", var.login)) && var.login != "root"
    error_message = "The login is small letters, digits and underscores, and not root."
  }
}

variable "database_tier" {
  description = "Machine type of the database; the smallest holds thousands of tunnels."
  type        = string
  default     = "db-f1-micro"

  validation {
    condition     = startswith(var.database_tier, "db-")
    error_message = "A tier of Cloud SQL begins with db-."
  }
}

variable "deletion_protection" {
  description = "Whether the database refuses to be destroyed; set to false, and apply, before a teardown."
  type        = bool
  default     = true
}

variable "database_backups" {
  description = "How many daily backups of the database are kept; 0 makes none. Few: each holds, sealed, what was open at that hour."
  type        = number
  default     = 2

  validation {
    condition     = var.database_backups >= 0 && var.database_backups <= 30 && floor(var.database_backups) == var.database_backups
    error_message = "From 0 to 30 backups are kept."
  }
}

variable "launchers" {
  description = "Who may launch tunnel servers, without a key that could be stolen, such as user:ann@example.org or group:support@example.org."
  type        = set(string)
  default     = []

  validation {
    condition     = alltrue([for member in var.launchers : can(regex("^(user|group|serviceAccount):[^@\\s]+@[^@\\s]+$", member))])
    error_message = "Each is user:, group: or serviceAccount: and an address; everybody is nobody."
  }
}
