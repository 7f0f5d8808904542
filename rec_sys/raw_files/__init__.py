"""The one reader of whatever a person hands in: training files, reviews, users; as rows or records, not yet checked."""
