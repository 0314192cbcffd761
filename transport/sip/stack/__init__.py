"""The SIP library and nothing else: the only importer of ``sippy``.

sippy 2.5.0 gives the reading and writing of messages and the transactions of RFC 3261 17. Dialogs, digest, media
policy and sockets are ours, for a fax line needs of them what the library's call control does not have (UPDATE,
offers in a 200, forked answers, challenged BYE). Its event loop, threads and sockets are not used: its timers run on
the caller's loop, its datagrams come and go through :class:`~transport.sip.stack.messages.Flow`.
"""
