"""Response bodies that are sent many times: compressed once, with an entity tag."""

import gzip
import hashlib

import msgspec
from blacksheep import Content, Request, Response

from frontrow.web.endpoint import knows, takes_gzip

SHARED = b"public, max-age=0, s-maxage=1"
"""For answers that are made once a second at most: caches in front of the server keep them too."""

_WORTH_PACKING = 512  # bytes
_LEVEL = 6


class Body(msgspec.Struct, frozen=True):
    """A response body, plain and in gzip, with the entity tag of its content."""

    media_type: bytes
    plain: bytes
    packed: bytes
    etag: bytes

    @classmethod
    def of(cls, plain: bytes, media_type: bytes) -> "Body":
        """Compresses a body, and takes its tag from its digest."""
        digest = hashlib.sha256(plain).hexdigest()[:16]
        packed = gzip.compress(plain, _LEVEL, mtime=0) if len(plain) >= _WORTH_PACKING else b""
        return cls(media_type, plain, packed, f'"{digest}"'.encode())

    def answer(self, request: Request, cache_control: bytes) -> Response:
        """Returns 200 in the encoding that the client accepts, or 304 if it has this version."""
        packed = self.packed and takes_gzip(request)
        # Two encodings of one content have different tags (RFC 9110, 8.8.1).
        etag = self.etag[:-1] + b'-gz"' if packed else self.etag
        if knows(request, etag):
            response = Response(304)
        else:
            content = Content(self.media_type, self.packed if packed else self.plain)
            response = Response(200, None, content)
            if packed:
                response.add_header(b"content-encoding", b"gzip")
        response.add_header(b"etag", etag)
        response.add_header(b"cache-control", cache_control)
        response.add_header(b"vary", b"accept-encoding")
        response.add_header(b"cross-origin-resource-policy", b"same-origin")
        return response
