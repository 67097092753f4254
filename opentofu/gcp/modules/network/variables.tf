variable "name" {
  description = "Name of the network, and the beginning of all names in it."
  type        = string
}

variable "region" {
  description = "Region of both subnetworks."
  type        = string
}

variable "admin_networks" {
  description = "Networks that reach ssh of the API's host, as CIDR."
  type        = set(string)
}
