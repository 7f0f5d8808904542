"""From reviews to recommendations with their reasons: the one road that the command line and the service share."""
