"""What each command of `outstation-sim` does, once its arguments are understood."""
