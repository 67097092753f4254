# PostgreSQL without an address on the internet. The account that the API logs in with is made by hand (docs/opentofu.md): its password
# would otherwise lie in the state of OpenTofu.

resource "google_sql_database_instance" "this" {
  name                = var.name
  region              = var.region
  database_version    = "POSTGRES_17"
  deletion_protection = var.deletion_protection

  settings {
    edition                     = "ENTERPRISE"
    tier                        = var.tier
    availability_type           = "ZONAL" # while it is away requests wait; sessions that are open do not need it
    disk_type                   = "PD_SSD"
    disk_size                   = 10
    disk_autoresize             = true
    disk_autoresize_limit       = 50
    deletion_protection_enabled = var.deletion_protection # also against the console

    ip_configuration {
      ipv4_enabled    = false
      private_network = var.network
      ssl_mode        = "ENCRYPTED_ONLY"
    }

    location_preference {
      zone = var.zone
    }

    # A backup holds the messages, sealed, of tunnels that were open at that hour. A log for recovery to any point in time would hold those of
    # every tunnel, for days: what is deleted when its time is over must not live on.
    backup_configuration {
      enabled                        = var.backups > 0
      start_time                     = "02:00"
      point_in_time_recovery_enabled = false

      backup_retention_settings {
        retained_backups = max(var.backups, 1)
        retention_unit   = "COUNT"
      }
    }

    maintenance_window {
      day          = 7
      hour         = 3
      update_track = "stable"
    }
  }
}

resource "google_sql_database" "mailbox" {
  name            = "support_tunnel"
  instance        = google_sql_database_instance.this.name
  deletion_policy = "ABANDON" # it goes with its instance
}
