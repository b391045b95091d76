"""How Sphinx makes these pages: ``tox -e docs``."""

project = "dandi-mirror"
extensions = ["myst_parser"]
html_theme = "furo"
html_title = "dandi-mirror"
html_copy_source = False
myst_heading_anchors = 3
highlight_language = "none"
