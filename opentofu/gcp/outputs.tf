# These two are all that Python reads (support_tunnel/cli/admin/tofu_outputs.py), and none may hold a secret.

output "settings" {
  description = "What the settings of admins need to know, by the names that they have there."
  value = {
    api   = "https://${var.domain}"
    cloud = "gce"
    clouds = {
      gce = {
        project = var.project
        region  = local.zone # Google's servers are in a zone
        network = module.network.name
        subnet  = "regions/${var.region}/subnetworks/${module.network.tunnel_subnetwork_name}"
      }
    }
  }
}

output "api_host" {
  description = "Where `fab api.deploy` goes."
  value = {
    address         = module.api_host.address
    domain          = var.domain
    login           = var.login
    database        = module.database.address
    database_name   = module.database.database
    service_account = module.launcher.email
  }
}
