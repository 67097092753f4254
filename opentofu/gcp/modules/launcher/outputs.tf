output "email" {
  description = "The account."
  value       = google_service_account.this.email
}
