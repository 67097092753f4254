output "name" {
  description = "The record that points to the API."
  value       = google_dns_record_set.address.name
}
