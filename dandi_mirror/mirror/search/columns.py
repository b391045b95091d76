"""What the search index keeps of assets and Dandisets: the names that its tables and queries share."""

from __future__ import annotations

FIELDS = ("subject", "session", "species", "sex", "age", "approach", "technique", "variable")
"""Columns of an asset's words besides its path; each is a search operator."""
ABOUT = ("identifier", "name", "keyword", "contributor", "description", "more")
"""Columns of a Dandiset's words."""

ZARR = "application/x-zarr"
"""The type of each Zarr, whatever its record says."""
