"""The queue: jobs on Redis or Valkey, claimed under leases, and what they leave behind."""
