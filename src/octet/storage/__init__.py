"""The buckets: one interface over S3 and MinIO, a local folder, Google and Azure."""
