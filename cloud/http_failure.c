/* SPDX-License-Identifier: Apache-2.0 */
/* What curl says when there is no answer, in the words of a person and of errno.
 * URLs hold signatures, proxies passwords: only the origin is named. */
#include "cloud/http_internal.h"

#include <errno.h>
#include <string.h>

static long info(const struct http_call *call, CURLINFO what)
{
    long value = 0;

    curl_easy_getinfo(call->try.easy, what, &value);
    return value;
}

static const char *curl_text(const struct http_call *call, CURLcode code)
{
    const char *text = call->try.curl_error;

    return text && *text ? text : curl_easy_strerror(code);
}

/* A proxy that does not let us through answers with a status of its own. */
static int proxy_failure(const struct http_call *call, long code, struct error *error)
{
    return fail(error, -ECONNREFUSED,
                "the proxy does not connect to %s: it answered %ld%s",
                call->host->origin, code,
                code == 407 ? ", a user and password are wanted" : "");
}

static int connect_failure(const struct http_call *call, struct error *error)
{
    long os = info(call, CURLINFO_OS_ERRNO);

    return fail(error, -ECONNREFUSED,
                "%s cannot be connected to%s%s: is the address right, and does the "
                "service run?",
                call->host->origin, os ? ": " : "", os ? strerror((int)os) : "");
}

static int tls_failure(const struct http_call *call, CURLcode code, struct error *error)
{
    const char *origin = call->host->origin, *text = curl_text(call, code);

    switch (code) {
    case CURLE_PEER_FAILED_VERIFICATION:
        return fail(error, -EPROTO,
                    "%s is not trusted: %s; a private authority is named by ca_file "
                    "or SSL_CERT_FILE",
                    origin, text);
    case CURLE_SSL_CACERT_BADFILE:
        return fail(error, -EPROTO, "the file of authorities cannot be used: %s", text);
    default:
        return fail(error, -EPROTO, "%s does not speak TLS with us: %s", origin, text);
    }
}

int http_failure(const struct http_call *call, CURLcode code, struct error *ret_error)
{
    const char *origin = call->host->origin;
    long proxy_code = info(call, CURLINFO_HTTP_CONNECTCODE);

    if (proxy_code >= 300 && !call->try.is_sent)
        return proxy_failure(call, proxy_code, ret_error);
    switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
        return fail(ret_error, -EHOSTUNREACH,
                    "%s has no address: is the name right, and does name resolution "
                    "work here?",
                    origin);
    case CURLE_COULDNT_RESOLVE_PROXY:
        return fail(ret_error, -EHOSTUNREACH, "the proxy's name has no address");
    case CURLE_COULDNT_CONNECT:
    case CURLE_PROXY:
        return connect_failure(call, ret_error);
    case CURLE_OPERATION_TIMEDOUT:
        return fail(ret_error, -ETIMEDOUT, "%s did not take the connection in %d s",
                    origin, HTTP_CONNECT_MS / 1000);
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_PARTIAL_FILE:
    case CURLE_ABORTED_BY_CALLBACK:
        return fail(ret_error, -EPIPE, "the connection to %s broke: %s", origin,
                    curl_text(call, code));
    case CURLE_OUT_OF_MEMORY:
        return fail(ret_error, -ENOMEM, "not enough memory");
    case CURLE_URL_MALFORMAT:
        return fail(ret_error, -EPROTO, "%s: %s", origin, curl_text(call, code));
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
        return tls_failure(call, code, ret_error);
    default:
        return fail(ret_error, -EPROTO, "%s does not speak HTTP: %s", origin,
                    curl_text(call, code));
    }
}

bool http_failure_is_transient(const struct http_call *call, CURLcode code)
{
    long proxy_code = info(call, CURLINFO_HTTP_CONNECTCODE);

    if (proxy_code >= 300 && proxy_code < 500 && !call->try.is_sent)
        return false;
    switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_CONNECT:
    case CURLE_PROXY:
    case CURLE_OPERATION_TIMEDOUT:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_PARTIAL_FILE:
        return true;
    default:
        return false;
    }
}
