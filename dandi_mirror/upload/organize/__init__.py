"""Check and place NWB files and NWB-Zarrs under the names that dandi makes (``upload/read/nwb_names.py``)."""
