"""Archives as people upload them."""

import io
import zipfile


def packed(members, method=zipfile.ZIP_DEFLATED):
    """A zip of these members, by name."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()
