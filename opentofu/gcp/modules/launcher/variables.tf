variable "environment" {
  description = "Name of the installation, in the names of account and role."
  type        = string
}

variable "launchers" {
  description = "Who may act as the account."
  type        = set(string)
}
