"""Mail out, the outbox's mail lane: receipts for senders, received faxes for mailboxes."""
