"""REST: mappings, responses, problems."""
