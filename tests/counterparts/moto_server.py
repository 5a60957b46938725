#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""moto's server, with people and roles in it from the start, so that every request is
signed by somebody and checked.

    user mesh     has $MESH_TEST_AWS_ID and $MESH_TEST_AWS_SECRET
    role middle   the user may assume it
    role far      the role middle may assume it, nobody else
    role guarded  the user may assume it, but not with another external id than
                  "open-sesame" (moto lets pass who says none)
    role closed   nobody may assume it

What is ours and not moto's: AssumeRoleWithWebIdentity needs no signature, as with STS
(moto fails on that), and its token must be $MESH_TEST_AWS_WEB_TOKEN (moto takes any). So
tests of it show the form of the request, not what STS thinks of a token.
"""

import json
import os
from typing import Any

from moto.core.exceptions import ServiceException
from moto.iam.models import iam_backends
from moto.server import main
from moto.sts.responses import TokenResponse

ACCOUNT = "123456789012"
EVERYTHING = json.dumps({
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": ["sts:*", "s3:*", "kms:*"],
                   "Resource": "*"}],
})


def trust(principal: str, condition: dict[str, Any] | None = None) -> str:
    statement: dict[str, Any] = {
        "Effect": "Allow", "Action": "sts:AssumeRole",
        "Principal": {"AWS": f"arn:aws:{principal}"},
    }
    if condition:
        statement["Condition"] = condition
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def add_people() -> None:
    iam = iam_backends[ACCOUNT]["aws"]
    user = f"iam::{ACCOUNT}:user/mesh"
    iam.create_user("us-east-1", "mesh")
    iam.put_user_policy("mesh", "everything", EVERYTHING)
    key = iam.create_access_key("mesh")
    given = iam.access_keys.pop(key.access_key_id, None)
    key.access_key_id = os.environ["MESH_TEST_AWS_ID"]
    key.secret_access_key = os.environ["MESH_TEST_AWS_SECRET"]
    if given:
        iam.access_keys[key.access_key_id] = given
    for name, document in [
        ("middle", trust(user)),
        ("far", trust(f"sts::{ACCOUNT}:assumed-role/middle/mesh")),
        ("guarded", trust(user, {"StringEquals": {"sts:ExternalId": "open-sesame"}})),
        ("closed", trust(f"iam::{ACCOUNT}:user/nobody")),
    ]:
        iam.create_role(name, document, "/", None, "", [], "3600")
        iam.put_role_policy(name, "everything", EVERYTHING)


class InvalidIdentityToken(ServiceException):
    code = "InvalidIdentityToken"

    def __init__(self) -> None:
        super().__init__("The web identity token cannot be validated")


def let_web_identity_in() -> None:
    """It is asked without a key, so there is no signature to check."""
    check = TokenResponse._authenticate_and_authorize_action
    assume = TokenResponse.assume_role_with_web_identity

    def checked(self: TokenResponse, *args: Any, **kwargs: Any) -> None:
        if self._get_action() != "AssumeRoleWithWebIdentity":
            check(self, *args, **kwargs)

    def assumed(self: TokenResponse) -> Any:
        if self._get_param("WebIdentityToken") != os.environ["MESH_TEST_AWS_WEB_TOKEN"]:
            raise InvalidIdentityToken()
        return assume(self)

    TokenResponse._authenticate_and_authorize_action = checked
    TokenResponse.assume_role_with_web_identity = assumed


if __name__ == "__main__":
    add_people()
    let_web_identity_in()
    main()
