/* SPDX-License-Identifier: Apache-2.0 */
/* What Azure answers is read, and what refuses is explained; nothing secret is shown.
 */
#include <errno.h>
#include <string.h>

#include "cloud/azure_block.h"
#include "cloud/azure_errors.h"
#include "cloud/azure_place.h"
#include "cloud/azure_token.h"
#include "cloud/azure_xml.h"
#include "tests/unit/unit.h"

/* ---- lists ---- */

static const char LIST[] =
    "\xef\xbb\xbf<?xml version=\"1.0\" encoding=\"utf-8\"?>"
    "<EnumerationResults ServiceEndpoint=\"https://a.blob.core.windows.net/\" "
    "ContainerName=\"box\"><Prefix>in/</Prefix><Delimiter>/</Delimiter><Blobs>"
    "<Blob><Name>in/z &amp; \xc3\xa4</Name><Properties>"
    "<Last-Modified>Fri, 26 Jun 2015 23:39:12 GMT</Last-Modified>"
    "<Etag>0x8CB</Etag><Content-Length>9</Content-Length>"
    "<AccessTier>Cool</AccessTier></Properties><Metadata><Name>odd</Name></Metadata></"
    "Blob>"
    "<Blob><Name>in/folder</Name><Properties><Content-Length>0</Content-Length>"
    "<ResourceType>directory</ResourceType></Properties></Blob>"
    "<Blob><Name Encoded=\"true\">in/a%EF%BF%BEb</Name><Properties>"
    "<Etag>\"0x1\"</Etag><AccessTier>Hot</AccessTier></Properties></Blob>"
    "<BlobPrefix><Name>in/m/</Name></BlobPrefix>"
    "</Blobs><NextMarker>2!76!more</NextMarker></EnumerationResults>";

static void test_list(void **state UNUSED)
{
    CLEANUP(azure_list_release) struct azure_list list = { .n = 0 };
    struct error error = { .text = "" };

    assert_int_equal(azure_list_read(LIST, strlen(LIST), "in/", &list, &error), 0);
    assert_int_equal(list.n, 3);
    assert_string_equal(list.entries[0].name, "a\xef\xbf\xbe"
                                              "b");
    assert_string_equal(list.entries[0].about.etag, "\"0x1\"");
    assert_string_equal(list.entries[0].about.tier, "");
    assert_string_equal(list.entries[1].name, "m/");
    assert_true(list.entries[1].is_prefix);
    assert_string_equal(list.entries[2].name, "z & \xc3\xa4");
    assert_int_equal(list.entries[2].about.size, 9);
    assert_int_equal(list.entries[2].about.modified_s, 1435361952);
    assert_string_equal(list.entries[2].about.etag, "\"0x8CB\"");
    assert_string_equal(list.entries[2].about.tier, "Cool");
    assert_string_equal(list.next, "2!76!more");
}

static void test_no_list(void **state UNUSED)
{
    static const char *const bad[] = {
        "",
        "<html><body>log in</body></html>",
        "<EnumerationResults><Blobs><Blob></Blob></Blobs></EnumerationResults>",
        "<EnumerationResults><Blobs><Blob><Name>other/x</Name></Blob></Blobs>"
        "</EnumerationResults>",
        "<EnumerationResults><Blobs><Blob><Name Encoded=\"true\">in/%00x</Name></Blob>"
        "</Blobs></EnumerationResults>",
        "<EnumerationResults><Blobs><Blob><Name>in/x</Name><Properties>"
        "<Content-Length>-1</Content-Length></Properties></Blob></Blobs>"
        "</EnumerationResults>",
        "<!DOCTYPE x [<!ENTITY a \"b\">]><EnumerationResults/>",
        "<EnumerationResults><Blobs><Blob><Name>in/x</Name></Blob>",
    };
    struct azure_list list;
    struct error error;

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_int_equal(azure_list_read(bad[i], strlen(bad[i]), "in/", &list, &error),
                         -EPROTO);
}

static void test_blocks(void **state UNUSED)
{
    static const char text[] =
        "<BlockList><CommittedBlocks><Block><Name>QQ==</Name><Size>3</Size></Block>"
        "</CommittedBlocks><UncommittedBlocks><Block><Name>Qg==</Name>"
        "<Size>4194304000</Size></Block></UncommittedBlocks></BlockList>";
    CLEANUP(azure_blocks_release) struct azure_blocks blocks = { .n = 0 };
    struct error error;

    assert_int_equal(azure_blocks_read(text, strlen(text), &blocks, &error), 0);
    assert_int_equal(blocks.n, 2);
    assert_true(blocks.all[0].is_committed);
    assert_false(blocks.all[1].is_committed);
    assert_string_equal(blocks.all[1].id, "Qg==");
    assert_int_equal(blocks.all[1].size, 4194304000);
    assert_int_equal(azure_blocks_read("<Error/>", 8, &blocks, &error), -EPROTO);
}

static void test_block_ids(void **state UNUSED)
{
    CLEANUP(buffer_release) struct buffer name = BUFFER_INIT;
    char id[AZURE_UPLOAD_ID + 1], block[AZURE_BLOCK_ID + 1], other[AZURE_BLOCK_ID + 1];
    const char *type;

    assert_int_equal(azure_upload_name("0123456789abcdef", "text/plain", &name), 0);
    assert_int_equal(azure_upload_read(buffer_text(&name), id, &type), 0);
    assert_string_equal(type, "text/plain");
    azure_block_id(id, 1, block);
    azure_block_id(id, 10000, other);
    assert_int_equal(strlen(block), strlen(other));
    assert_int_equal(azure_block_number(id, block), 1);
    assert_int_equal(azure_block_number(id, other), 10000);
    assert_int_equal(azure_block_number("0123456789abcdee", block), 0);
    assert_int_equal(azure_block_number(id, "QQ=="), 0);
    assert_int_equal(azure_upload_read("0123456789abcdef", id, &type), -EINVAL);
    assert_int_equal(azure_upload_read("0123456789abcdef;a\r\nb", id, &type), -EINVAL);
    assert_int_equal(azure_upload_read("../../x;a", id, &type), -EINVAL);
}

/* ---- refusals ---- */

static int explain(int status, const char *code, const char *body, enum azure_auth auth,
                   int64_t skew_s, struct error *ret)
{
    const struct azure_asked asked = {
        .verb = "get", .account = "acc", .container = "box", .auth = auth
    };
    struct azure_refusal refusal;

    azure_refusal_read(status, code, "id-7", body, strlen(body), &refusal);
    refusal.skew_s = skew_s;
    return azure_refusal_fail(&refusal, &asked, ret);
}

#define HAS(part) assert_non_null(strstr(error.text, part))
#define HAS_NOT(part) assert_null(strstr(error.text, part))

static void test_refusals(void **state UNUSED)
{
    static const char body[] =
        "<?xml version=\"1.0\" encoding=\"utf-8\"?><Error>"
        "<Code>AuthenticationFailed</Code><Message>Server failed to authenticate.\n"
        "RequestId:x</Message><AuthenticationErrorDetail>The MAC signature found in "
        "the "
        "HTTP request 'MACSECRET' is not the same</AuthenticationErrorDetail></Error>";
    static const char expired[] =
        "<Error><Code>AuthenticationFailed</Code><Message>m</Message>"
        "<AuthenticationErrorDetail>Signature not valid in the specified time frame: "
        "Start [a] - Expiry [b]</AuthenticationErrorDetail></Error>";
    struct error error = { .text = "" };

    assert_int_equal(explain(403, NULL, body, AZURE_AUTH_KEY, 0, &error), -EACCES);
    HAS("AuthenticationFailed (HTTP 403, request id id-7)");
    HAS("account key");
    HAS_NOT("MACSECRET");
    HAS_NOT("clock");
    explain(403, NULL, body, AZURE_AUTH_KEY, -7200, &error);
    HAS("clock is 120 minutes slow");
    explain(403, NULL, expired, AZURE_AUTH_SAS, 0, &error);
    HAS("Expiry [b]");
    HAS("SAS has expired");
    assert_int_equal(explain(403, "AuthorizationPermissionMismatch", "",
                             AZURE_AUTH_TOKEN, 0, &error),
                     -EACCES);
    HAS("Storage Blob Data Contributor");
    explain(403, "AuthorizationPermissionMismatch", "", AZURE_AUTH_SAS, 0, &error);
    HAS("lacks a permission");
    assert_int_equal(explain(404, "ContainerNotFound", "", AZURE_AUTH_KEY, 0, &error),
                     -ENOENT);
    HAS("acc/box");
    assert_int_equal(explain(409, "BlobAlreadyExists", "", AZURE_AUTH_KEY, 0, &error),
                     -EEXIST);
    assert_int_equal(explain(412, "ConditionNotMet", "", AZURE_AUTH_KEY, 0, &error),
                     -EEXIST);
    assert_int_equal(explain(400, "Md5Mismatch", "", AZURE_AUTH_KEY, 0, &error),
                     -EBADMSG);
    assert_int_equal(explain(416, "InvalidRange", "", AZURE_AUTH_KEY, 0, &error),
                     -ERANGE);
    assert_int_equal(explain(418, "NeverSeen",
                             "<Error><Message>odd\x7f</Message></Error>",
                             AZURE_AUTH_KEY, 0, &error),
                     -EIO);
    HAS("NeverSeen");
    HAS("odd");
}

static void test_no_service(void **state UNUSED)
{
    const struct azure_asked asked = {
        .verb = "get", .account = "acc", .container = "box", .auth = AZURE_AUTH_KEY
    };
    struct azure_refusal refusal;
    struct error error;

    azure_refusal_read(403, NULL, NULL, "<html>", 6, &refusal);
    assert_int_equal(azure_refusal_fail(&refusal, &asked, &error), -EPROTO);
    HAS("endpoint");
}

/* ---- connection strings and places ---- */

static void test_connection(void **state UNUSED)
{
    CLEANUP(azure_connection_release) struct azure_connection c = { .account = NULL };
    struct error error = { .text = "" };

    assert_int_equal(
        azure_connection_read(
            "DefaultEndpointsProtocol=https;AccountName=acc;"
            " accountkey=a2V5PT0=; EndpointSuffix=core.chinacloudapi.cn;\n",
            &c, &error),
        0);
    assert_string_equal(c.account, "acc");
    assert_string_equal(c.key, "a2V5PT0=");
    assert_string_equal(c.endpoint, "https://acc.blob.core.chinacloudapi.cn");
    azure_connection_release(&c);
    assert_int_equal(
        azure_connection_read("BlobEndpoint=https://acc.z1.blob.storage.azure.net/"
                              ";SharedAccessSignature=sv=1&sig=x%3D",
                              &c, &error),
        0);
    assert_string_equal(c.sas, "sv=1&sig=x%3D");
    azure_connection_release(&c);
    assert_int_equal(azure_connection_read("UseDevelopmentStorage=true", &c, &error),
                     0);
    assert_string_equal(c.account, "devstoreaccount1");
}

static void test_bad_connection(void **state UNUSED)
{
    static const char *const bad[] = {
        "TOPSECRET",
        "AccountKey=TOPSECRET",
        "AccountName=acc",
        "AccountName=acc;AccountName=b;AccountKey=TOPSECRET",
        "DefaultEndpointsProtocol=ftp;AccountName=acc;AccountKey=TOPSECRET",
        "",
    };
    struct azure_connection c;
    struct error error;

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        error.text[0] = '\0';
        assert_int_equal(azure_connection_read(bad[i], &c, &error), -EINVAL);
        assert_string_not_equal(error.text, "");
        HAS_NOT("TOPSECRET");
    }
}

static const char *given[4];

static const char *env(const char *name)
{
    for (size_t i = 0; i + 1 < ARRAY_SIZE(given); i += 2)
        if (given[i] && strcmp(given[i], name) == 0)
            return given[i + 1];
    return NULL;
}

static void check_place(struct azure_place_options o, const char *account,
                        const char *url, const char *path)
{
    struct azure_place place;
    struct error error = { .text = "" };

    if (azure_place_find(&o, env, &place, &error) < 0)
        fail_msg("%s", error.text);
    assert_string_equal(place.account, account);
    assert_string_equal(place.url, url);
    assert_string_equal(place.url + place.path, path);
}

static void test_places(void **state UNUSED)
{
    memset(given, 0, sizeof(given));
    check_place((struct azure_place_options){ .account = "acc" }, "acc",
                "https://acc.blob.core.windows.net", "");
    check_place(
        (struct azure_place_options){ .endpoint =
                                          "http://127.0.0.1:10000/devstoreaccount1/" },
        "devstoreaccount1", "http://127.0.0.1:10000/devstoreaccount1",
        "/devstoreaccount1");
    check_place((struct azure_place_options){ .account = "acc",
                                              .endpoint = "https://[::1]:10000" },
                "acc", "https://[::1]:10000/acc", "/acc");
    check_place((struct azure_place_options){ .endpoint =
                                                  "https://acc.blob.core.windows.net" },
                "acc", "https://acc.blob.core.windows.net", "");
    check_place((struct azure_place_options){ .account = "acc",
                                              .endpoint =
                                                  "https://blob.core.windows.net" },
                "acc", "https://acc.blob.core.windows.net", "");
    check_place((struct azure_place_options){ .account = "acc",
                                              .endpoint = "https://files.example.org" },
                "acc", "https://files.example.org", "");
    check_place((struct azure_place_options){ .account = "acc",
                                              .endpoint = "https://files.example.org",
                                              .is_path_style = true },
                "acc", "https://files.example.org/acc", "/acc");

    given[0] = "AZURE_STORAGE_CONNECTION_STRING";
    given[1] = "AccountName=cs;AccountKey=a2V5;EndpointSuffix=core.usgovcloudapi.net";
    check_place((struct azure_place_options){ .account = NULL }, "cs",
                "https://cs.blob.core.usgovcloudapi.net", "");
    check_place((struct azure_place_options){ .account = "other" }, "other",
                "https://other.blob.core.windows.net", "");
    given[0] = "METAFLOW_AZURE_STORAGE_BLOB_SERVICE_ENDPOINT";
    given[1] = "https://mf.blob.core.windows.net/";
    check_place((struct azure_place_options){ .account = NULL }, "mf",
                "https://mf.blob.core.windows.net", "");
}

static void test_no_place(void **state UNUSED)
{
    static const struct azure_place_options bad[] = {
        { .account = NULL },
        { .account = "Not An Account" },
        { .account = "acc", .endpoint = "ftp://x" },
        { .account = "acc", .endpoint = "https://" },
        { .account = "acc", .endpoint = "https://user:pw@host" },
        { .account = "acc", .endpoint = "https://host?sig=x" },
        { .endpoint = "https://files.example.org" },
    };
    struct azure_place place;

    memset(given, 0, sizeof(given));
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_int_equal(azure_place_find(&bad[i], env, &place, NULL), -EINVAL);
}

/* ---- tokens ---- */

static void check_token(const char *json, int64_t expires_s)
{
    CLEANUP(azure_token_release) struct azure_token token = { .text = NULL };
    struct error error;

    assert_int_equal(azure_token_read(json, strlen(json), 1000, &token, &error),
                     expires_s ? 0 : -EPROTO);
    if (expires_s)
        assert_int_equal(token.expires_s, expires_s);
}

static void test_tokens(void **state UNUSED)
{
    check_token("{\"access_token\":\"a.b-c\",\"expires_in\":3600}", 4600);
    check_token("{\"access_token\":\"a\",\"expires_in\":\"3600\"}", 4600);
    check_token("{\"access_token\":\"a\",\"expires_on\":\"5000\"}", 5000);
    check_token("{\"access_token\":\"a\",\"expires_on\":999}", 0);
    check_token("{\"access_token\":\"a\\r\\nX: y\",\"expires_in\":60}", 0);
    check_token("{\"access_token\":\"a\"}", 0);
    check_token("{\"expires_in\":60}", 0);
    check_token("[]", 0);
    check_token("<html>", 0);
}

static void test_refused_tokens(void **state UNUSED)
{
    static const char wrong[] =
        "{\"error\":\"invalid_client\",\"error_description\":\"AADSTS7000215: Invalid "
        "client secret provided. Trace ID: t\\r\\nmore\",\"trace_id\":\"trace-1\"}";
    static const char missing[] = "{\"statusCode\":400,\"message\":\"No identity\"}";
    const struct azure_token_asked asked = { .from = "client secret",
                                             .client = "app",
                                             .tenant = "home" };
    struct error error;

    assert_int_equal(azure_token_refused(401, wrong, strlen(wrong), &asked, &error),
                     -EACCES);
    HAS("AADSTS7000215 (HTTP 401, request id trace-1)");
    HAS("not its id");
    HAS("client app in tenant home");
    assert_int_equal(azure_token_refused(400, missing, strlen(missing), &asked, &error),
                     -EACCES);
    HAS("No identity");
    assert_int_equal(azure_token_refused(503, "", 0, &asked, &error), -EIO);
    assert_int_equal(azure_token_refused(403, "<html>", 6, &asked, &error), -EPROTO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_list),       cmocka_unit_test(test_no_list),
        cmocka_unit_test(test_blocks),     cmocka_unit_test(test_block_ids),
        cmocka_unit_test(test_refusals),   cmocka_unit_test(test_no_service),
        cmocka_unit_test(test_connection), cmocka_unit_test(test_bad_connection),
        cmocka_unit_test(test_places),     cmocka_unit_test(test_no_place),
        cmocka_unit_test(test_tokens),     cmocka_unit_test(test_refused_tokens),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
