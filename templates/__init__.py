"""Texts and layouts for people, a folder for each language: mails, receipts, pages. Data only."""
