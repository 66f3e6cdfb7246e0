"""HTTP applications of the simulated services: each turns requests into operations and renders their answers."""
