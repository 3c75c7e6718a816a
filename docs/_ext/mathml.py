"""Formulas as MathML, which browsers draw by themselves: no script, and nothing from elsewhere."""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx
from sphinx.writers.html5 import HTML5Translator


def _mathml(text: str, block: bool) -> str:
    """A formula; docutils knows no commands for the size of brackets, and dots by another name."""
    text = re.sub(r"\\[bB]igg?[lrm]?(?![a-zA-Z])", "", text)
    out: str = tex2mathml(re.sub(r"\\dots(?![a-zA-Z])", r"\\ldots", text), as_block=block)
    return out


def _inline(self: HTML5Translator, node: nodes.math) -> None:
    self.body.append(_mathml(node.astext(), block=False))
    raise nodes.SkipNode


def _block(self: HTML5Translator, node: nodes.math_block) -> None:
    text = _mathml(node.astext(), block=True)
    self.body.append(f'<div class="math-block">{text}</div>\n')
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
