"""Our model beside the baselines: each row in a process of its own, kept on disk."""
