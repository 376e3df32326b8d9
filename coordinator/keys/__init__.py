"""Keys of the fleet: who signs, and the files that hold them."""
