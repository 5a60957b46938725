#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""metadata_server.py PORT - a stand-in for the metadata services of AWS.

It is ours, not Amazon's: what tests see here is that our requests have the form that the
documentation asks for, not how the services behave. It is strict where they are: an
instance's service answers 401 without a token of its own, 400 to a token asked for
without its time to live, and 403 to a request that came through a proxy; a container's
answers 401 without the authorization of $MESH_TEST_METADATA_TOKEN.

    /ready                     it is there
    /instance/...              IMDSv2 with the role "meshrole"
    /bare/...                  an instance without a role
    /denying/...               an instance whose service is switched off for us
    /v1/...                    an instance that knows no tokens
    /container/keys            keys; each answer has a key of its own
    /container/{refusing,garbage,short}
"""

import itertools
import json
import os
import sys
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ROLES = "/latest/meta-data/iam/security-credentials/"
TOKEN = "AQAEAmetadata+token=="
counter = itertools.count(1)


def keys(kind: str, lives_s: int = 3600) -> bytes:
    number = next(counter)
    ends = datetime.now(timezone.utc) + timedelta(seconds=lives_s)
    return json.dumps({
        "Code": "Success", "Type": "AWS-HMAC",
        "AccessKeyId": f"ASIA{kind.upper()}{number}", "SecretAccessKey": f"secret{number}",
        "Token": f"token{number}", "Expiration": ends.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }).encode()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, status: int, body: bytes = b"") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_PUT(self) -> None:
        kind, _, path = self.path[1:].partition("/")
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if path != "latest/api/token" or kind == "v1":
            self.answer(404)
        elif kind == "denying" or "X-Forwarded-For" in self.headers:
            self.answer(403)
        elif not 1 <= int(self.headers.get("X-aws-ec2-metadata-token-ttl-seconds") or 0) <= 21600:
            self.answer(400)
        else:
            self.answer(200, TOKEN.encode())

    def do_GET(self) -> None:
        kind, _, path = self.path[1:].partition("/")
        if kind == "ready":
            self.answer(200)
        elif kind == "container":
            self.container(path)
        elif self.headers.get("X-aws-ec2-metadata-token") != TOKEN:
            self.answer(401)
        elif kind == "instance" and f"/{path}" == ROLES:
            self.answer(200, b"meshrole")
        elif kind == "instance" and f"/{path}" == ROLES + "meshrole":
            self.answer(200, keys("instance"))
        else:
            self.answer(404)

    def container(self, path: str) -> None:
        if self.headers.get("Authorization") != os.environ["MESH_TEST_METADATA_TOKEN"]:
            self.answer(401, b'{"code": "Unauthorized", "message": "say who you are"}')
        elif path == "keys":
            self.answer(200, keys("container"))
        elif path == "short":
            self.answer(200, keys("short", 30))
        elif path == "garbage":
            self.answer(200, b"<html>secret</html>")
        else:
            self.answer(403, b'{"code": "AccessDenied", "message": "no role is attached"}')

    def log_message(self, *_: object) -> None:
        pass


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
