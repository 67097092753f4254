terraform {
  required_version = ">= 1.10, < 2.0"

  required_providers {
    digitalocean = {
      source = "digitalocean/digitalocean"
      # Exactly the version whose schema ./test checks these files against (tools/provider-schema.txt).
      version = "2.71.0"
    }
  }
}

# The token comes from the environment (DIGITALOCEAN_TOKEN): as a variable it would lie in plans.
provider "digitalocean" {}
