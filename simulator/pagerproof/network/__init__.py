"""Simulated network: connections in memory below the HTTP client, and the server at their other end."""
