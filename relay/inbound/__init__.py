"""The way in from the telephone: a line rings, pages come, a number's mailboxes get them."""
