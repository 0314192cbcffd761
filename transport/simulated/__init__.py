"""The simulated telephone network: real T.30 between real fax engines, and no telephone line.

It answers the relay's own numbers and the documented ones (:mod:`.numbers`, ``docs/simulated.md``) and nothing else.
"""
