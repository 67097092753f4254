output "address" {
  description = "The host's address; it stays when the host is made anew."
  value       = google_compute_address.this.address
}
