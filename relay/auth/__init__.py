"""What a mail proves: SPF, DKIM, DMARC and ARC as status values, never a decision.

:func:`relay.auth.verdict.examine` is the way in. The room knows no policy, no SMTP and no database; it reaches the
network only through the :class:`relay.auth.resolver.Resolver` that it is given.
"""
