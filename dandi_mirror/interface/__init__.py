"""The Python interface: mirrors, clones, Dandisets and their assets as values.

``import dandi_mirror as dm`` has everything: ``dm.Mirror``, ``dm.Clone``.  Nothing here asks a question or ends the
process; what a command would say and end with is raised, as a :class:`.MirrorError` in the same words.
"""
