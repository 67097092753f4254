output "address" {
  description = "Private address of the instance."
  value       = google_sql_database_instance.this.private_ip_address
}

output "database" {
  description = "Name of the database in it."
  value       = google_sql_database.mailbox.name
}
