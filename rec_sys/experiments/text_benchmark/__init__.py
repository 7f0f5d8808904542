"""How long an answer takes, and where the time goes."""
