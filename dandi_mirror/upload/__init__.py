"""The way back: from files on this machine to assets of a draft, and on to a published version."""
