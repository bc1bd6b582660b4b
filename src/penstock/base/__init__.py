"""What knows no domain: text for people, hashes, time."""
