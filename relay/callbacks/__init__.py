"""Callbacks: what the relay tells other programs of its faxes, in their own dialects."""
