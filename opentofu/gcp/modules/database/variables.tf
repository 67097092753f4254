variable "name" {
  description = "Name of the instance; Google keeps a deleted one's name for a week."
  type        = string
}

variable "region" {
  description = "Region of the instance."
  type        = string
}

variable "zone" {
  description = "Zone of the instance: the API's."
  type        = string
}

variable "tier" {
  description = "Machine type."
  type        = string
}

variable "network" {
  description = "The network whose peering gives the instance its address."
  type        = string
}

variable "deletion_protection" {
  description = "Whether it refuses to be destroyed."
  type        = bool
}

variable "backups" {
  description = "How many daily backups are kept; 0 makes none."
  type        = number
}
