"""The console's static files, kept in memory under a path that names their content, and the headers of every answer."""

import hashlib
from pathlib import Path

from starlette.responses import Response

FOLDER = Path(__file__).parent / "static"
KINDS = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml; charset=utf-8",
}

# CONSOLE.md C38. `same-origin` as referrer policy: with `no-referrer` a browser sends `Origin: null` with our forms.
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "media-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Cache-Control": "no-store",
}


class Assets:
    """Every file of static/, read once."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self._files = {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.suffix in KINDS}
        content = b"\0".join(name.encode() + b"\0" + body for name, body in self._files.items())
        self.version = hashlib.sha256(content).hexdigest()[:12]
        self.path = f"/console/static/{self.version}"

    def answer(self, version: str, name: str) -> Response:
        """A file for ever cacheable under its version; 404 for another version, so that no page mixes two."""
        body = self._files.get(name) if version == self.version else None
        if body is None:
            return Response(status_code=404, headers=HEADERS)
        headers = {**HEADERS, "Cache-Control": "public, max-age=31536000, immutable"}
        return Response(body, media_type=KINDS[Path(name).suffix], headers=headers)
