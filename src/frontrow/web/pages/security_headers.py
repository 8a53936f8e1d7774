"""The headers of every page: they limit what it may load and use, and forbid framing."""

from blacksheep import Request, Response

from frontrow.web.access.cookies import is_https

HTML = b"text/html; charset=utf-8"

SCRIPTED = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; media-src 'self' blob:; manifest-src 'self'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)
"""The files that a page may load: only this server's, nothing inline."""
PLAIN = (
    "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)
"""The policy of a page without scripts."""

_DENIED = (
    "accelerometer",
    "camera",
    "display-capture",
    "geolocation",
    "gyroscope",
    "magnetometer",
    "microphone",
    "midi",
    "payment",
    "usb",
)
_HSTS = b"max-age=31536000"


def protect(request: Request, response: Response, *, policy: str, features: str = "") -> None:
    """Adds the headers that every page has."""
    allowed = features.split()
    permissions = ", ".join(
        f"{feature}=({'self' if feature in allowed else ''})" for feature in _DENIED
    )
    for name, value in (
        (b"content-security-policy", policy.encode()),
        (b"permissions-policy", permissions.encode()),
        # With no-referrer, forms would be sent without their origin.
        (b"referrer-policy", b"same-origin"),
        (b"cross-origin-opener-policy", b"same-origin"),
        (b"x-content-type-options", b"nosniff"),
        (b"x-frame-options", b"DENY"),
    ):
        response.add_header(name, value)
    if is_https(request):
        response.add_header(b"strict-transport-security", _HSTS)
