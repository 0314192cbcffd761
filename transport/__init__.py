"""Telephone lines: pages and a number become a call; a ringing line becomes pages. Knows no relay."""
