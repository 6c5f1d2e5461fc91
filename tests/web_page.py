"""What a browser sees of what a figure writes."""

import json
from html.parser import HTMLParser


class Page(HTMLParser):
    """The tags of a page, its text, and its scripts as a browser cuts them."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.scripts, self.text = [], [], ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)

    def handle_data(self, data):
        if self.tags and self.tags[-1] == "script" and data.strip():
            self.scripts.append(data)
        elif self.tags[-1] != "style":
            self.text += data


def can_be_sent(figure):
    return json.loads(figure.to_json())
