"""Callbacks: what happens to faxes, told to the HTTP endpoints that the policy names."""
