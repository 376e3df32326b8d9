"""The meaning of things: readings, profiles, jobs and the policies over them."""
