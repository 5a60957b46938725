#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A stand-in for what Google does before its storage: gives out tokens and asks for them.

fake-gcs-server, behind it, checks no token and ends an upload that is asked how far it
is. Authlib checks the assertions of service accounts; all else here is ours and shows
the shape of our requests, not how Google behaves.

    /token                       assertions (RFC 7523), refresh tokens, exchanges (RFC 8693)
    /impersonate                 a token for a token
    /subject                     what a workload would be given by its own cloud
    /computeMetadata/v1/...      the metadata server
    /-/...                       for the tests: see Gate.control()
    else                         storage, for who has a token or the address of an upload
"""
import argparse
import http.client
import json
import re
import secrets
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from authlib.oauth2 import OAuth2Error
from authlib.oauth2.rfc7523 import JWTBearerGrant
from joserfc.jwk import RSAKey

SCOPES = ("devstorage", "cloud-platform")
HOP = {"connection", "transfer-encoding", "keep-alive", "host", "content-length"}


class Assertions(JWTBearerGrant):
    """Authlib's checks, with the one account that there is."""

    def __init__(self, email, key, audience):
        super().__init__(None, None)
        self.email, self.key, self.audience = email, key, audience

    def resolve_issuer_client(self, issuer):
        return self.email if issuer == self.email else None

    def resolve_client_key(self, client, headers, payload):
        if client is None:
            raise ValueError("Invalid grant: account not found")
        return self.key

    def get_audiences(self):
        return [self.audience]

    def check(self, assertion):
        claims = self.process_assertion_claims(assertion)
        if claims["exp"] - claims["iat"] > 3600 or claims["iat"] > time.time() + 300:
            raise ValueError("Invalid JWT: Token must be a short-lived token and in a "
                             "reasonable timeframe. Check your iat and exp values")
        return claims.get("scope", "")


class State:
    """What the gate knows; handlers run on threads of their own."""

    def __init__(self):
        self.lock = threading.Lock()
        self.tokens = {}  # token -> (scope, when it ends)
        self.given = 0
        self.ttl = 3600
        self.faults = []  # {"match", "code", "body", "times", "after", "headers"}
        self.uploads = {}  # id -> {"held": n, "done": None or (code, headers, body)}
        self.seen = []  # method, path, headers of requests for storage

    def grant(self, scope):
        with self.lock:
            token = "ya29." + secrets.token_urlsafe(24)
            self.tokens[token] = (scope, time.time() + self.ttl)
            self.given += 1
            return {"access_token": token, "expires_in": self.ttl, "token_type": "Bearer"}

    def refusal(self, header):
        if not header.startswith("Bearer "):
            return "Anonymous caller does not have storage.objects access"
        with self.lock:
            scope, ends = self.tokens.get(header[7:], ("", 0))
        if ends < time.time():
            return "Invalid Credentials"
        if not any(s in scope for s in SCOPES):
            return "Request had insufficient authentication scopes."
        return None

    def fault(self, line):
        with self.lock:
            for fault in self.faults:
                if re.search(fault["match"], line) and fault["times"] > 0:
                    fault["times"] -= 1
                    return fault
        return None


def storage_error(code, reason, message):
    return json.dumps({"error": {"code": code, "message": message, "errors": [
        {"domain": "global", "reason": reason, "message": message}]}}).encode()


class Gate(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state: State
    assertions: Assertions
    upstream: str

    def log_message(self, format, *args):
        pass

    def answer(self, code, body=b"", headers=()):
        self.send_response(code)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def answer_json(self, code, value, headers=()):
        self.answer(code, json.dumps(value).encode(),
                    [("Content-Type", "application/json"), *headers])

    # ---- tokens ----

    def token(self, form):
        kind = form.get("grant_type", "")
        if kind.endswith(":jwt-bearer"):
            said = None
            try:
                scope = self.assertions.check(form.get("assertion", ""))
            except ValueError as error:
                said = str(error)
            except OAuth2Error as error:  # Authlib says nothing of a wrong signature
                said = error.description or "Invalid JWT Signature."
            if said:
                return self.answer_json(400, {"error": "invalid_grant",
                                              "error_description": said})
            return self.answer_json(200, self.state.grant(scope))
        if kind == "refresh_token":
            if (form.get("client_id"), form.get("client_secret")) != ("id", "client-secret"):
                return self.answer_json(401, {"error": "invalid_client"})
            if form.get("refresh_token") != "refresh+/secret":
                return self.answer_json(400, {
                    "error": "invalid_grant",
                    "error_description": "Token has been expired or revoked."})
            return self.answer_json(200, self.state.grant("devstorage"))
        if kind.endswith(":token-exchange"):
            if form.get("subject_token") != "subject-token" or form.get("audience") != "//iam/p":
                return self.answer_json(400, {"error": "invalid_grant"})
            return self.answer_json(200, self.state.grant(form.get("scope", "")))
        return self.answer_json(400, {"error": "unsupported_grant_type"})

    def metadata(self):
        if self.headers.get("Metadata-Flavor") != "Google":
            return self.answer(403, b"Missing Metadata-Flavor:Google header.")
        return self.answer_json(200, self.state.grant("devstorage"),
                                [("Metadata-Flavor", "Google")])

    def impersonate(self):
        refusal = self.state.refusal(self.headers.get("Authorization", ""))
        if refusal:
            return self.answer(401, storage_error(401, "authError", refusal))
        given = self.state.grant("devstorage")
        ends = time.strftime("%Y-%m-%dT%H:%M:%SZ",
                             time.gmtime(time.time() + given["expires_in"]))
        return self.answer_json(200, {"accessToken": given["access_token"],
                                      "expireTime": ends})

    # ---- for the tests ----

    def control(self, path, body):
        state = self.state
        if path == "/-/revoke":
            with state.lock:
                state.tokens.clear()
        elif path == "/-/ttl":
            state.ttl = int(body)
        elif path == "/-/fault":
            with state.lock:
                state.faults.append({"times": 1, **json.loads(body)})
        elif path == "/-/given":
            return self.answer(200, str(state.given).encode())
        elif path == "/-/seen":
            with state.lock:
                seen, state.seen = "\n".join(state.seen), []
            return self.answer(200, seen.encode())
        return self.answer(204)

    # ---- storage ----

    def forward(self, path, body, headers):
        host, port = self.upstream.split(":")
        link = http.client.HTTPConnection(host, int(port), timeout=60)
        try:
            link.request(self.command, path, body, headers)
            answer = link.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        finally:
            link.close()

    def pass_on(self, path, body):
        headers = {k: v for k, v in self.headers.items() if k.lower() not in HOP}
        headers["Host"] = self.headers["Host"]
        return self.forward(path, body, headers)

    def upload(self, path, body, upload):
        """As Google: tells how far it is, takes no byte twice, tells the end again."""
        if self.command == "DELETE":
            self.state.uploads.pop(upload["id"], None)
            return 499, [], b""
        if upload["done"]:
            return upload["done"]
        said = re.fullmatch(r"bytes (?:\*|(\d+)-(\d+))/(\d+|\*)",
                            self.headers.get("Content-Range", ""))
        if not said:
            return 400, [], storage_error(400, "invalid", "Bad Content-Range")
        held, first = upload["held"], said.group(1)
        if first is None and not (said.group(3) == str(held)):
            return 308, [("Range", f"bytes=0-{held - 1}")] if held else [], b""
        if first is not None and int(first) > held:
            return 503, [], storage_error(503, "backendError", "a gap")
        total = said.group(3)
        if first is not None:
            body = body[held - int(first):]
        upload["bytes"] += body
        upload["held"] = held = held + len(body)
        if str(held) != total:
            keep = held - held % (256 << 10)
            upload["bytes"] = upload["bytes"][:keep]
            upload["held"] = held = keep
            return 308, [("Range", f"bytes=0-{held - 1}")] if held else [], b""
        headers = {"Host": self.headers["Host"],
                   "Content-Range": f"bytes 0-{held - 1}/{held}" if held else "bytes */0"}
        done = self.forward(path, upload["bytes"], headers)
        upload["bytes"] = b""
        upload["done"] = done
        return done

    def storage(self, path, body):
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(path).query)
        upload = self.state.uploads.get(query.get("upload_id", [""])[0])
        if upload:
            return self.upload(path, body, upload)
        if "upload_id" in query:
            return 404, [], b"Not Found"
        refusal = self.state.refusal(self.headers.get("Authorization", ""))
        if refusal:
            return 401, [("WWW-Authenticate", 'Bearer error="invalid_token"')], \
                storage_error(401, "authError", refusal)
        code, headers, answer = self.pass_on(path, body)
        for index, (name, value) in enumerate(headers):
            if name.lower() == "location" and "upload_id=" in value:
                ident = value.split("upload_id=")[1].split("&")[0]
                self.state.uploads[ident] = {"id": ident, "held": 0, "bytes": b"",
                                             "done": None}
                if "name" not in query:  # Google says no name that it was not told so
                    headers[index] = (name, re.sub("&name=[^&]*", "", value))
        return code, headers, answer

    def do(self):
        path = self.path
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        if path.startswith("/-/"):
            return self.control(path, body)
        if path == "/token":
            return self.token(dict(urllib.parse.parse_qsl(body.decode())))
        if path == "/impersonate":
            return self.impersonate()
        if path == "/subject":
            good = self.headers.get("X-Workload") == "me"
            return self.answer_json(200 if good else 403, {"value": "subject-token"})
        if path.startswith("/computeMetadata/"):
            return self.metadata()
        line = f"{self.command} {path}"
        with self.state.lock:
            self.state.seen.append(line)
        fault = self.state.fault(line)
        if fault and not fault.get("after"):
            return self.answer(fault["code"], fault.get("body", "").encode(),
                               [("X-GUploader-UploadID", "gate-1")])
        code, headers, answer = self.storage(path, body)
        if fault and fault.get("after") == "cut":  # done, but nobody is told
            if answer and self.command == "GET":
                self.send_response(code)
                for name, value in headers:
                    if name.lower() not in HOP:
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer[:len(answer) // 2])
            self.close_connection = True
            return None
        if fault and fault.get("after") == "flip" and answer:
            answer = answer[:-1] + bytes([answer[-1] ^ 1])
        headers = [(k, v) for k, v in headers if k.lower() not in HOP | {"date", "server"}]
        return self.answer(code, answer, headers + [("X-GUploader-UploadID", "gate-1")])

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = do_PATCH = do


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    for name in ("upstream", "public-key", "email"):
        parser.add_argument("--" + name, required=True)
    options = parser.parse_args()
    with open(options.public_key, encoding="ascii") as file:
        key = RSAKey.import_key(file.read())
    Gate.state = State()
    Gate.upstream = options.upstream
    Gate.assertions = Assertions(options.email, key,
                                 f"http://127.0.0.1:{options.port}/token")
    server = ThreadingHTTPServer(("127.0.0.1", options.port), Gate)
    server.daemon_threads = True
    server.serve_forever()


if __name__ == "__main__":
    main()
