//! Ends of processes are noticed at once, and podman is left alone otherwise.
