"""`outstation`: the fleet admin's command line. Talks REST only; needs the extra `cli`."""
