"""Describe a version in other people's formats: RO-Crate, Croissant, BagIt, Metalink.  Pure: from values to bytes."""

FORMS = {
    "ro-crate": "-ro-crate-metadata.json",
    "croissant": "-croissant.json",
    "bagit": "-bag",
    "metalink": ".meta4",
}
"""Each format, and how the name of its file or folder ends."""
