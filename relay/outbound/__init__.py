"""The way out: a submission's files become a document (:mod:`.prepare`), a document becomes calls (:mod:`.dial`)."""
