output "id" {
  description = "The network, as other resources name it."
  value       = google_compute_network.this.id
}

output "name" {
  description = "The network's name."
  value       = google_compute_network.this.name
}

output "api_subnetwork" {
  description = "Where the API's host is."
  value       = google_compute_subnetwork.api.id
}

output "tunnel_subnetwork_name" {
  description = "Where tunnel servers are."
  value       = google_compute_subnetwork.tunnels.name
}

output "api_tag" {
  description = "Network tag of hosts that the API's ports are open on."
  value       = local.api_tag
}
