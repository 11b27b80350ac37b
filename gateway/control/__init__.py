"""What surrounds the data plane: processes, the admin port, metrics, logs."""
