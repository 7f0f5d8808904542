"""Everything about serving the exported towers with Triton; it stands on the bundle and the contracts."""
