"""Receives Penstock's webhooks and checks who sent them, with the standard library alone.

SECRET=whsec_... python receive.py 8500
"""

import base64
import hashlib
import hmac
import json
import os
import sys
import time
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TOLERANCE_S = 300


def verify(secret: str, headers: Mapping[str, str], body: bytes, *, now: float) -> dict[str, object]:
    """Return the message, or raise ValueError when it is not Penstock's, or an old one sent again by somebody else."""
    for name in ("webhook-id", "webhook-timestamp", "webhook-signature"):
        if name not in headers:
            raise ValueError(f"{name} is missing")
    sent_at = int(headers["webhook-timestamp"])
    if abs(now - sent_at) > TOLERANCE_S:
        raise ValueError("too old, or from the future")
    key = base64.b64decode(secret.removeprefix("whsec_")) if secret.startswith("whsec_") else secret.encode()
    signed = f"{headers['webhook-id']}.{sent_at}.".encode() + body
    expected = "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
    if not any(hmac.compare_digest(expected, given) for given in headers["webhook-signature"].split()):
        raise ValueError("the signature is not that of the secret")
    message: dict[str, object] = json.loads(body)
    return message


class Receiver(BaseHTTPRequestHandler):
    """Answers 204 to what is genuine, which ends Penstock's tries; 400 to the rest."""

    def do_POST(self) -> None:
        """Take one message. It may come twice: `webhook-id` is the same then."""
        body = self.rfile.read(min(int(self.headers["Content-Length"] or 0), 2**20))
        try:
            message = verify(os.environ["SECRET"], self.headers, body, now=time.time())
        except (KeyError, ValueError) as error:
            self.send_error(400, str(error))
            return
        print(self.headers["webhook-id"], message["type"])
        self.send_response(204)
        self.end_headers()


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Receiver).serve_forever()
