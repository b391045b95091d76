"""The demo: mirrors, clones, reads and checks Dandisets of an embedded archive.

``000004.json.gz`` is Dandiset 000004 as the real archive had it (paths, sizes, digests, ids and records of
every recorded state, with the official mirror's annex keys); made from the public history of
github.com/dandisets/000004, metadata under CC-BY-4.0 by its authors.
"""
