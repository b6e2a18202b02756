"""A page as its reader meets it."""

from html.parser import HTMLParser


class Page(HTMLParser):
    """Tags, addresses, ids, rows of cells, visible text and open tags of a page."""

    def __init__(self, text: str):
        super().__init__()
        self.tags, self.addresses, self.ids, self.rows, self.open, self.text, self.scripts = [], [], [], [], [], "", []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.addresses += [value for key, value in attributes if key in ("src", "href", "action", "data", "srcset", "poster")]
        self.ids += [value for key, value in attributes if key == "id"]
        assert not [key for key, _ in attributes if key.startswith("on")]
        if tag not in ("meta", "img", "br", "link", "input"):
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")
        elif tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if {"td", "th"} & set(self.open):
            self.rows[-1][-1] += data
        if "script" in self.open:
            self.scripts[-1] += data
        elif "style" not in self.open:
            self.text += data
