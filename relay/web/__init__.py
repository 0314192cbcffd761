"""The HTTP listener: health, metrics, signed links, downloads. The API and the portal will grow here."""
