"""The workflows that combine mirror, archive and uploads; each command calls one of them."""
