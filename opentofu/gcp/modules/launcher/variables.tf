variable "environment" {
  description = "Name of the installation, in the names of account and role."
  type        = string
}
