from tests.storage.conftest import bucket, buckets, config

__all__ = ["bucket", "buckets", "config"]
