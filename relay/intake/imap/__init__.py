"""Mail that is fetched: the IMAP poller.

One task for each mailbox of the settings (:mod:`.mailbox`) holds a watched connection (:mod:`.session`), spools what is
new, has it judged at the same desk as mail by SMTP (:mod:`.outcome`) and files the message only after the commit.
"""
