"""The site: ``make docs``."""

from __future__ import annotations

import os
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_ext"))
sys.path.insert(0, str(HERE.parent))
os.environ.setdefault("PYTHONPATH", str(HERE.parent))  # of the kernels that run the tutorials

import torchmist  # noqa: E402

project = "torchmist"
author = "The torchmist authors"
copyright = f"2026, {author}"
version = release = torchmist.__version__

extensions = [
    "pages", "mathml", "myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon",
]  # fmt: skip
source_suffix = {".md": "myst-nb", ".py": "myst-nb"}
exclude_patterns = ["_build", "_ext", "conf.py", "generated/tables", "notebooks"]

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 4
nb_custom_formats = {".py": ["jupytext.reads", {"fmt": "py:percent"}]}
nb_execution_mode = "cache"
nb_execution_raise_on_error = True
nb_execution_timeout = 300
nb_merge_streams = True
# a class at its module and at the front door are one; cells without a language are shown plain
suppress_warnings = ["ref.python", "myst-nb.lexer"]

autodoc_typehints = "signature"
autodoc_member_order = "bysource"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False
python_use_unqualified_type_names = True

html_theme = "furo"
html_title = "torchmist"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sphinx = False
html_copy_source = False
html_math_renderer = "mathml"
html_theme_options = {"navigation_with_keys": True}
