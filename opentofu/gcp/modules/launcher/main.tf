# The account that launches, lists and ends tunnel servers, with exactly the calls that this takes (opentofu/permissions/gce.yaml). It has
# no key: who may act as it gets a token for an hour by their own login.

locals {
  permissions = yamldecode(file("${path.module}/../../../permissions/gce.yaml"))
}

resource "google_project_iam_custom_role" "this" {
  role_id     = "supportTunnel_${replace(var.environment, "-", "_")}"
  title       = local.permissions.title
  description = local.permissions.description
  stage       = local.permissions.stage
  permissions = local.permissions.includedPermissions
}

resource "google_service_account" "this" {
  account_id   = "st-launcher-${var.environment}"
  display_name = "Launches support tunnels' servers (${var.environment})"
}

resource "google_project_iam_member" "this" {
  project = google_project_iam_custom_role.this.project
  role    = google_project_iam_custom_role.this.id
  member  = google_service_account.this.member
}

resource "google_service_account_iam_member" "launchers" {
  for_each = var.launchers

  service_account_id = google_service_account.this.name
  role               = "roles/iam.serviceAccountTokenCreator"
  member             = each.key
}
