locals {
  name = "support-tunnel-${var.environment}"
  zone = "${var.region}-${var.zone_letter}"
}

resource "google_project_service" "needed" {
  for_each = toset(["cloudresourcemanager", "compute", "dns", "iam", "iamcredentials", "servicenetworking", "sqladmin"])

  service            = "${each.key}.googleapis.com"
  disable_on_destroy = false # others in the project may use it
}

module "network" {
  source = "./modules/network"

  name           = local.name
  region         = var.region
  admin_networks = var.admin_networks

  depends_on = [google_project_service.needed]
}

module "database" {
  source = "./modules/database"

  name                = local.name
  region              = var.region
  zone                = local.zone
  tier                = var.database_tier
  network             = module.network.id
  backups             = var.database_backups
  deletion_protection = var.deletion_protection

  depends_on = [google_project_service.needed, module.network] # its peering with Google's own network, too
}

module "api_host" {
  source = "./modules/api_host"

  name           = "${local.name}-api"
  environment    = var.environment
  region         = var.region
  zone           = local.zone
  subnetwork     = module.network.api_subnetwork
  network_tag    = module.network.api_tag
  login          = var.login
  ssh_public_key = trimspace(var.ssh_public_key)

  depends_on = [google_project_service.needed]
}

module "names" {
  source = "./modules/names"
  count  = var.dns_zone == "" ? 0 : 1

  zone    = var.dns_zone
  domain  = var.domain
  address = module.api_host.address

  depends_on = [google_project_service.needed]
}

module "launcher" {
  source = "./modules/launcher"

  environment = var.environment
  launchers   = var.launchers

  depends_on = [google_project_service.needed]
}
