"""Who may do what, how much of it, and the record of it: keys, quotas, secrets, egress, audit."""
