"""What jobs can ask for: one file each."""
