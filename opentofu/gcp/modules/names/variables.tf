variable "zone" {
  description = "Name of the managed zone."
  type        = string
}

variable "domain" {
  description = "Name of the API."
  type        = string
}

variable "address" {
  description = "Address that it points to."
  type        = string
}
