"""How `make docs` builds the site: Sphinx over these Markdown pages and the package's own docstrings."""

from __future__ import annotations

import os
import warnings

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
warnings.filterwarnings("ignore")

import sparkxlmr  # noqa: E402 - what it imports later reads the two settings above

project = "sparkxlmr"
version = release = sparkxlmr.__version__
copyright = "the sparkxlmr authors"

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["images"]

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
# A folder or file of the repository is named, and linked, from pages that are read there too.
myst_url_schemes = ("http", "https", "mailto")

autodoc_default_options = {"members": True, "show-inheritance": True, "member-order": "bysource"}
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
autodoc_inherit_docstrings = False  # Keras' own docstrings are no reStructuredText
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
python_maximum_signature_line_length = 100

html_theme = "furo"
html_title = f"sparkxlmr {version}"
html_show_sourcelink = False
