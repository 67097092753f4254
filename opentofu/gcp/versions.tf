terraform {
  required_version = ">= 1.10, < 2.0"

  required_providers {
    google = {
      source = "hashicorp/google"
      # Exactly the version whose schema ./test checks these files against (tools/provider-schema.txt).
      version = "6.50.0"
    }
  }
}

provider "google" {
  project = var.project
  region  = var.region

  default_labels = {
    "support-tunnel-environment" = var.environment
  }
}
