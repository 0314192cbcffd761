"""Hostile web pages and drawings: addresses to fetch, entities, loops, and sizes beyond measure."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from .sample import Sample

if TYPE_CHECKING:
    from collections.abc import Callable

    from .sample import Aim, Samples


def page(body: str) -> Callable[[Aim], bytes]:
    """A web page; ``@URL@`` and ``@FILE@`` are what it aims at."""
    return lambda aim: aimed("<!DOCTYPE html><html><body>A good word.\n" + body, aim)


def drawing(body: str, attributes: str = 'width="200" height="100"', before: str = "") -> Callable[[Aim], bytes]:
    """A drawing, aimed likewise."""
    start = f'{before}<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" {attributes}>'
    return lambda aim: aimed(f'{start}<circle cx="50" cy="50" r="40"/>{body}</svg>', aim)


def aimed(text: str, aim: Aim) -> bytes:
    """Put the address and the file in."""
    return text.replace("@URL@", aim.url).replace("@FILE@", aim.file).encode()


def _inside(markup: Callable[[Aim], bytes]) -> Callable[[Aim], bytes]:
    """A web page that carries a drawing in a data: address."""

    def make(aim: Aim) -> bytes:
        coded = base64.b64encode(markup(aim)).decode()
        return f'<!DOCTYPE html><p>A good word.<img width=200 src="data:image/svg+xml;base64,{coded}">'.encode()

    return make


def _doubling(levels: int) -> str:
    """Entities each of which is ten of the one before."""
    rows = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, levels))
    return f'<!DOCTYPE svg [<!ENTITY e0 "lol">{rows}]>'


def _uses(levels: int) -> str:
    rows = "".join(f'<g id="u{n}">{f"""<use xlink:href="#u{n - 1}"/>""" * 10}</g>' for n in range(1, levels))
    return f'<defs><path id="u0" d="M0 0H9"/>{rows}</defs><use xlink:href="#u{levels - 1}"/>'


_FETCHES = """
<link rel=stylesheet href="@URL@css"><style>@import "@URL@import"; body { background: url(@URL@ground) }
@font-face { font-family: x; src: url(@URL@font) } p { font-family: x } p::before { content: url(file://@FILE@) }
@page { background: url("@URL@page") }</style><script src="@URL@script"></script><img src="@URL@img">
<img src="file://@FILE@"><img srcset="@URL@set 2x"><iframe src="@URL@frame"></iframe><object data="file://@FILE@"></object>
<embed src="@URL@embed"><video poster="@URL@poster"></video><p>x<a rel=attachment href="file://@FILE@">a</a>
"""
_SPAN = "".join(f"<tr>{'<td>x' * 200}</tr>" for _ in range(400))
_VARIABLES = ":root{--a0:x;" + "".join(f"--a{n}:{f'var(--a{n - 1}) ' * 10};" for n in range(1, 12)) + "}"

WEB: Samples = {
    "html-fetches-everything": Sample("page.html", page(_FETCHES), quick=True),
    "html-base": Sample("base.html", page('<base href="@URL@"><img src="a.png"><link rel=stylesheet href=b.css>'), quick=True),
    "html-attachment": Sample("attach.html", page('<link rel=attachment href="file://@FILE@">'), quick=True),
    "html-refresh": Sample("refresh.html", page('<meta http-equiv=refresh content="0;url=@URL@">')),
    "html-script": Sample("script.html", page("<script>fetch('@URL@')</script>"), quick=True),
    "html-entities": Sample(
        "entity.xhtml",
        lambda aim: aimed(
            '<?xml version="1.0"?><!DOCTYPE html [<!ENTITY x SYSTEM "file://@FILE@">]><html><body>A word &x;</body></html>',
            aim,
        ), quick=True,
    ),
    "html-tables-in-tables": Sample("tables.html", page("<table><tr><td>" * 60 + "x")),
    "html-deep": Sample("deep.html", page("<div>" * 5000 + "x"), quick=True),
    "html-deeper": Sample("deeper.html", page("<b>" * 200_000 + "x")),
    "html-huge-table": Sample("table.html", page(f"<table>{_SPAN}</table>")),
    "html-huge-span": Sample("span.html", page("<table><tr><td colspan=100000000 rowspan=100000000>x</table>")),
    "html-huge-box": Sample("box.html", page('<div style="width:1e9px;height:1e9px;border:1px solid">x</div>')),
    "html-huge-letters": Sample("letters.html", page('<p style="font-size:1e9px">Huge')),
    "html-huge-paper": Sample("paper.html", page("<style>@page{size:900000mm 900000mm}</style>x"), quick=True),
    "html-no-paper": Sample("nopaper.html", page("<style>@page{size:0 0;margin:0}</style>x")),
    "html-columns": Sample("columns.html", page('<div style="columns:1000000">x y z</div>')),
    "html-many-pages": Sample("pages.html", page('<p style="break-after:page">x' * 20_000)),
    "html-variables": Sample("variables.html", page(f"<style>{_VARIABLES} p::before{{content:var(--a11)}}</style><p>x")),
    "html-counters": Sample("counters.html", page("<style>p{counter-increment:c 2147483647}</style>" + "<p>x" * 200)),
    "html-drawing-fetches": Sample("carried.html", _inside(drawing('<image xlink:href="@URL@" width="9" height="9"/>')), quick=True),
    "html-drawing-file": Sample("carried2.html", _inside(drawing('<image href="file://@FILE@" width="9" height="9"/>'))),
    "html-drawing-bomb": Sample("carried3.html", _inside(drawing(_uses(8)))),
    "html-drawing-entities": Sample("carried4.html", _inside(drawing("<text>&e9;</text>", before=_doubling(10)))),
    "html-nothing": Sample("empty.html", lambda _: b"<!DOCTYPE html><html><body></body></html>", quick=True),
    "html-broken": Sample("broken.html", lambda _: b"<!DOCTYPE html><" + b"<a <b <c \"'" * 9000),
    "html-named-pdf": Sample("bill.pdf", page(""), quick=True),
    "svg-fetches": Sample("fetch.svg", drawing('<image xlink:href="@URL@" width="50" height="50"/>'), quick=True),
    "svg-file": Sample("file.svg", drawing('<image href="file://@FILE@" width="50" height="50"/><image href="@FILE@"/>'), quick=True),
    "svg-style-fetches": Sample("style.svg", drawing('<style>@import url("@URL@");</style>')),
    "svg-entity": Sample(
        "entity.svg", drawing("<text>&x;</text>", before='<!DOCTYPE svg [<!ENTITY x SYSTEM "file://@FILE@">]>'), quick=True
    ),
    "svg-entity-address": Sample(
        "entity2.svg", drawing("<text>&x;</text>", before='<!DOCTYPE svg [<!ENTITY x SYSTEM "@URL@">]>')
    ),
    "svg-laughs": Sample("laughs.svg", drawing("<text>&e9;</text>", before=_doubling(10)), quick=True),
    "svg-includes": Sample("include.svg", drawing('<xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="file://@FILE@"/>')),
    "svg-uses": Sample("uses.svg", drawing(_uses(9))),
    "svg-uses-itself": Sample("self.svg", drawing('<g id="a"><use xlink:href="#a"/></g>'), quick=True),
    "svg-giant": Sample("giant.svg", drawing("", 'width="1e9" height="1e9"')),
    "svg-long": Sample("long.svg", drawing("", 'width="10" height="9999999"'), quick=True),
    "svg-no-size": Sample("zero.svg", drawing("", 'width="0" height="0"')),
    "svg-strange-size": Sample("strange.svg", drawing("", 'width="NaN" height="-5" viewBox="a b c d"'), quick=True),
    "svg-blur": Sample(
        "blur.svg",
        drawing('<filter id="f"><feGaussianBlur stdDeviation="100000"/></filter><rect width="200" height="90" filter="url(#f)"/>'),
    ),
    "svg-filters": Sample(
        "filters.svg",
        drawing(
            '<filter id="f">' + '<feTurbulence numOctaves="1000" baseFrequency="9"/><feMorphology radius="900"/>' * 60
            + '</filter><rect width="200" height="90" filter="url(#f)"/>'
        ),
    ),
    "svg-patterns": Sample(
        "patterns.svg",
        drawing(
            "<defs>" + "".join(
                f'<pattern id="p{n}" width="0.01" height="0.01"><rect width="9" height="9" fill="url(#p{n + 1})"/></pattern>'
                for n in range(40)
            ) + '</defs><rect width="200" height="90" fill="url(#p0)"/>'
        ),
    ),
    "svg-dashes": Sample("dashes.svg", drawing('<path d="M0 0H1e9" stroke="red" stroke-dasharray="0.0001 0.0001"/>')),
    "svg-long-path": Sample("path.svg", drawing(f'<path d="M0 0{"l1 1l-1 1" * 400_000}" stroke="red"/>')),
    "svg-deep": Sample("deep.svg", drawing("<g>" * 100_000 + "</g>" * 100_000)),
    "svg-long-text": Sample("text.svg", drawing("<text>" + "word " * 100_000 + "</text>")),
    "svg-cut": Sample("cut.svg", lambda _: b'<svg xmlns="http://www.w3.org/2000/svg"><g', quick=True),
    "svg-named-png": Sample("photo.png", drawing(""), quick=True),
}  # fmt: skip
