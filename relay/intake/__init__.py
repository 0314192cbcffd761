"""Intake: how a mail becomes a submission.

A listener (:mod:`relay.intake.smtp`) takes the bytes in, :mod:`relay.intake.message` has them read by a confined
child, and :mod:`relay.intake.desk` asks the policy and commits. Nothing in here dials, and nothing but the desk
writes.
"""
