"""HTTP applications of the simulated services: each turns a protocol's request into operations and renders answers."""
