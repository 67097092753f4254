variable "name" {
  description = "Name of the host."
  type        = string
}

variable "environment" {
  description = "Name of the installation, in the name of the account."
  type        = string
}

variable "region" {
  description = "Region of its address."
  type        = string
}

variable "zone" {
  description = "Zone of the host."
  type        = string
}

variable "subnetwork" {
  description = "Where its network interface is."
  type        = string
}

variable "network_tag" {
  description = "Tag that opens its ports."
  type        = string
}

variable "login" {
  description = "Account that the key opens."
  type        = string
}

variable "ssh_public_key" {
  description = "The key, on one line."
  type        = string
}
