"""The second stage: what the first one proposes is put into the order that boosted trees learned."""
