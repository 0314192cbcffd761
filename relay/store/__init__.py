"""What must survive: rows, blobs, the queue. Nothing in here knows mail, documents or telephones."""
