"""Telephone lines by SIP (RFC 3261): trunks, devices that register with us, calls in G.711 and T.38.

:class:`~transport.sip.network.SipNetwork` is the whole of it to a line. Only :mod:`transport.sip.stack` knows the SIP
library; what decides (SDP, T.38 policy, numbers, registrations, guard) is free of sockets and clocks.
"""
