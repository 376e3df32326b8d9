"""What the REST API says and hears: the one description that server and clients share."""
