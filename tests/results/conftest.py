from tests.storage.conftest import bucket, buckets, settings

__all__ = ["bucket", "buckets", "settings"]
