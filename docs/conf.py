"""How `make docs` builds the site: Sphinx over these Markdown pages and the package's own docstrings."""

from __future__ import annotations

import inspect
import os
import warnings
from typing import Any

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


def _own_signature(app: Any, what: str, name: str, obj: Any, *_: Any) -> tuple[str, str] | None:
    """A Keras model's arguments are those of its constructor; Keras' ``__new__`` hides them."""
    if what != "class" or "__init__" not in vars(obj) or not hasattr(obj, "from_preset"):
        return None
    signature = inspect.signature(obj.__init__)
    own = [parameter.replace(annotation=parameter.empty) for parameter in signature.parameters.values()][1:]
    return str(inspect.Signature(own)), ""


def setup(app: Any) -> None:
    app.connect("autodoc-process-signature", _own_signature)
