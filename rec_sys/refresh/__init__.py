"""Tomorrow's model: trained on what the store holds, compared with the served one, published unless it is worse."""
