#include "net/engine_i.h"

#include "base/clock.h"
#include "net/url.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { CONNECT_MAX_MS = 10000, BUFFER_SIZE = 256 * 1024 };

static bool is_redirect(const struct request *r)
{
    int status = r->resp.status;
    return r->answer.location &&
           (status == 301 || status == 302 || status == 303 || status == 307 || status == 308);
}

static bool wants_page(const struct request *r)
{
    return r->resp.html && r->method != HTTP_HEAD &&
           (r->resp.status == 200 || r->resp.status >= 400);
}

/* The header is whole. False: stop. */
static bool on_header_end(struct request *r)
{
    if (r->resp.status < 200)
        return true;
    answer_end(&r->answer, &r->resp, r->gzip);
    r->headed = true;
    r->following = is_redirect(r);
    r->answered = !r->following;
    if (r->following)
        return true;
    int rc = r->ops.head != NULL ? r->ops.head(r->arg, &r->resp) : 0;
    if (rc == 0 && r->max_body > 0 && r->resp.length != HTTP_UNKNOWN && r->method != HTTP_HEAD &&
        r->resp.length > r->max_body)
        rc = -EFBIG;
    r->stop = rc;
    r->page_only = rc != 0 && wants_page(r);
    return rc == 0 || r->page_only;
}

static size_t on_header(char *line, size_t size, size_t count, void *arg)
{
    struct request *r = arg;
    size_t len = size * count;
    r->last_byte = clock_ms();
    r->header_bytes += len;
    if (r->header_bytes > HEADER_MAX) {
        r->stop = -EPROTO;
        return len + 1;
    }
    if (r->headed)
        return len;
    if (len > 0 && (line[0] == '\r' || line[0] == '\n'))
        return on_header_end(r) ? len : len + 1;
    answer_line(&r->answer, &r->resp, line, len);
    if (r->resp.status >= 200)
        r->answered = true;
    return len;
}

/* Keeps the head of an HTML page; false once there is no need for more. */
static bool keep_page(struct request *r, const char *data, size_t len)
{
    size_t room = PAGE_MAX - r->page.len;
    if (!wants_page(r) || room == 0)
        return false;
    buf_add(&r->page, data, len < room ? len : room);
    return r->page.err == 0 && r->page.len < PAGE_MAX;
}

static size_t on_body(char *data, size_t size, size_t count, void *arg)
{
    struct request *r = arg;
    size_t len = size * count;
    r->last_byte = clock_ms();
    if (r->following) {
        r->skipped += len;
        return r->skipped <= REDIRECT_BODY_MAX ? len : CURL_WRITEFUNC_ERROR;
    }
    if (r->page_only)
        return keep_page(r, data, len) ? len : CURL_WRITEFUNC_ERROR;
    int rc = 0;
    if (r->max_body > 0 && len > r->max_body - r->resp.body)
        rc = -EFBIG;
    else if (r->ops.data != NULL)
        rc = r->ops.data(r->arg, data, len);
    if (rc == -EAGAIN) {
        r->paused = true;
        return CURL_WRITEFUNC_PAUSE;
    }
    (void)keep_page(r, data, len);
    if (rc != 0) {
        r->stop = rc;
        return CURL_WRITEFUNC_ERROR;
    }
    r->resp.body += len;
    return len;
}

#define SET(option, value) bad |= curl_easy_setopt(r->easy, (option), (value)) != CURLE_OK

static bool set_connection(const struct http *h, struct request *r)
{
    bool bad = false;
    unsigned connect = h->net.timeout_ms < CONNECT_MAX_MS ? h->net.timeout_ms : CONNECT_MAX_MS;
    SET(CURLOPT_QUICK_EXIT, 1L);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
    SET(CURLOPT_PIPEWAIT, strncasecmp(r->at, "https:", 6) == 0 ? 1L : 0L);
    SET(CURLOPT_BUFFERSIZE, (long)BUFFER_SIZE);
    SET(CURLOPT_CONNECTTIMEOUT_MS, (long)connect);
    SET(CURLOPT_TCP_KEEPALIVE, 1L);
    SET(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    if (h->net.proxy != NULL)
        SET(CURLOPT_PROXY, h->net.proxy);
    if (h->net.ca_file != NULL)
        SET(CURLOPT_CAINFO, h->net.ca_file);
    return !bad;
}

static bool set_callbacks(struct request *r)
{
    bool bad = false;
    SET(CURLOPT_PRIVATE, r);
    SET(CURLOPT_ERRORBUFFER, r->trouble);
    SET(CURLOPT_HEADERFUNCTION, on_header);
    SET(CURLOPT_HEADERDATA, r);
    SET(CURLOPT_WRITEFUNCTION, on_body);
    SET(CURLOPT_WRITEDATA, r);
    return !bad;
}

/* The login that was given, else the one that netrc has for the host; a redirect to another site
 * gets neither. */
static bool set_login(const struct http *h, struct request *r)
{
    bool bad = false;
    if (r->trusted && r->user != NULL) {
        SET(CURLOPT_USERNAME, r->user);
        SET(CURLOPT_PASSWORD, r->password != NULL ? r->password : "");
    } else if (r->trusted && h->net.netrc != NULL) {
        SET(CURLOPT_NETRC, (long)CURL_NETRC_OPTIONAL);
        SET(CURLOPT_NETRC_FILE, h->net.netrc);
    }
    return !bad;
}

static bool set_question(struct request *r)
{
    bool bad = false;
    SET(CURLOPT_URL, r->at);
    SET(CURLOPT_PATH_AS_IS, 1L);
    SET(CURLOPT_USERAGENT, "medshapefs/" MEDSHAPEFS_VERSION);
    SET(CURLOPT_HTTPHEADER, r->headers);
    if (r->method == HTTP_HEAD)
        SET(CURLOPT_NOBODY, 1L);
    if (r->body != NULL)
        SET(CURLOPT_POSTFIELDS, r->body);
    if (r->method == HTTP_PROPFIND)
        SET(CURLOPT_CUSTOMREQUEST, "PROPFIND");
    if (r->range[0] != '\0')
        SET(CURLOPT_RANGE, r->range);
    if (r->gzip)
        SET(CURLOPT_ACCEPT_ENCODING, "gzip");
    return !bad;
}

static void begin_answer(struct request *r)
{
    answer_reset(&r->answer, &r->resp);
    buf_clear(&r->page);
    r->trouble[0] = '\0';
    r->answered = r->headed = r->following = r->paused = false;
    r->skipped = 0;
    r->last_byte = clock_ms();
}

int transfer_begin(struct http *h, struct request *r)
{
    r->easy = curl_easy_init(); /* not used again: 7.88 refuses some that have failed or paused */
    if (r->easy == NULL)
        return -ENOMEM;
    begin_answer(r);
    if (set_connection(h, r) && set_callbacks(r) && set_login(h, r) && set_question(r) &&
        curl_multi_add_handle(h->multi, r->easy) == CURLM_OK)
        return 0;
    curl_easy_cleanup(r->easy);
    r->easy = NULL;
    return -ENOMEM;
}

void transfer_end(struct http *h, struct request *r)
{
    if (r->easy == NULL)
        return;
    curl_off_t bytes = 0;
    if (curl_easy_getinfo(r->easy, CURLINFO_SIZE_DOWNLOAD_T, &bytes) == CURLE_OK && bytes > 0)
        atomic_fetch_add(&h->stat_bytes, (uint64_t)bytes);
    (void)curl_multi_remove_handle(h->multi, r->easy);
    curl_easy_cleanup(r->easy);
    r->easy = NULL;
}

static int errno_of(CURLcode code)
{
    switch (code) {
    case CURLE_OK:
        return 0;
    case CURLE_OPERATION_TIMEDOUT:
        return -ETIMEDOUT;
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_CONNECT:
        return -EHOSTUNREACH;
    case CURLE_PARTIAL_FILE:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
    case CURLE_GOT_NOTHING:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
        return -ECONNRESET;
    case CURLE_OUT_OF_MEMORY:
        return -ENOMEM;
    default:
        return -EPROTO;
    }
}

/* Compares what came with what the header promised; libcurl itself does so only for a plain
 * Content-Length. */
static int check_length(struct request *r)
{
    const struct http_resp *resp = &r->resp;
    uint64_t length = r->answer.wire_length;
    if (r->method == HTTP_HEAD || resp->status == 204 || resp->status == 304 ||
        (r->gzip && r->answer.encoded))
        return 0;
    if (length != HTTP_UNKNOWN && resp->body < length)
        return -ECONNRESET;
    if (resp->status != 206 || !resp->has_range || resp->range_first == HTTP_UNKNOWN)
        return 0;
    uint64_t range = resp->range_last - resp->range_first + 1;
    return resp->body < range ? -ECONNRESET : resp->body > range ? -EPROTO : 0;
}

static const char *cause_of(const struct request *r, int err, CURLcode code)
{
    if (err == -EFBIG)
        return "the answer is larger than expected";
    if (r->stop != 0)
        return err_text(err);
    if (code == CURLE_OK)
        return "the answer's length is wrong";
    return r->trouble[0] != '\0' ? r->trouble : curl_easy_strerror(code);
}

/* Says why. libcurl's own words might quote a URL: they are cut before its query. */
static void say_why(struct request *r, int err, CURLcode code)
{
    char *why = r->resp.why;
    size_t cap = sizeof(r->resp.why);
    if (r->page.len > 0)
        answer_title(r->page.data, r->page.len, why, cap);
    if (why[0] != '\0')
        return;
    if (err != 0)
        (void)snprintf(why, cap, "%.*s", (int)cap - 1, cause_of(r, err, code));
    else if (r->resp.status >= 400)
        (void)snprintf(why, cap, "HTTP %d", r->resp.status);
    why[strcspn(why, "?\r\n")] = '\0';
}

int transfer_result(struct request *r, CURLcode code)
{
    int err = r->stop != 0 ? r->stop : errno_of(code);
    if (r->stop == 0 && r->following && (code == CURLE_OK || code == CURLE_WRITE_ERROR))
        return 1;
    if (err == 0)
        err = check_length(r);
    say_why(r, err, code);
    return err;
}

static bool same_text(const char *a, size_t alen, const char *b, size_t blen)
{
    return alen == blen && strncasecmp(a, b, alen) == 0;
}

static int refuse(struct request *r, int err, const char *why)
{
    (void)snprintf(r->resp.why, sizeof(r->resp.why), "%s", why);
    return err;
}

/* Checks where the redirect leads; only http(s), never back from https to http. */
static int check_target(struct request *r, const char *target)
{
    struct url from, to;
    if (r->redirects >= REDIRECTS_MAX)
        return refuse(r, -ELOOP, "too many redirects");
    if (target == NULL || url_split(target, strlen(target), &to) != 0 ||
        url_split(r->at, strlen(r->at), &from) != 0)
        return refuse(r, -EPROTONOSUPPORT, "redirect to something that is no http address");
    if (from.scheme_len > to.scheme_len)
        return refuse(r, -EPROTONOSUPPORT, "redirect from https to http");
    r->trusted = r->trusted && same_text(from.host, from.host_len, to.host, to.host_len);
    return 0;
}

/* The absolute URL that Location means, or NULL; by hand, as CURLINFO_REDIRECT_URL puts the login
 * into it. */
static char *target_of(const struct request *r)
{
    struct curl_header *location;
    char *text = NULL, *out = NULL;
    CURLU *url = curl_url();
    if (url != NULL &&
        curl_easy_header(r->easy, "Location", 0, CURLH_HEADER, -1, &location) == CURLHE_OK &&
        curl_url_set(url, CURLUPART_URL, r->at, CURLU_PATH_AS_IS) == CURLUE_OK &&
        curl_url_set(url, CURLUPART_URL, location->value, CURLU_PATH_AS_IS | CURLU_URLENCODE) ==
            CURLUE_OK &&
        curl_url_get(url, CURLUPART_URL, &text, 0) == CURLUE_OK)
        out = strdup(text);
    curl_free(text);
    curl_url_cleanup(url);
    return out;
}

int transfer_follow(struct http *h, struct request *r)
{
    char *target = target_of(r);
    int rc = check_target(r, target);
    transfer_end(h, r);
    if (rc != 0) {
        free(target);
        return rc;
    }
    free(r->at);
    r->at = target;
    r->redirects++;
    return transfer_begin(h, r);
}

int64_t transfer_deadline(const struct http *h, const struct request *r)
{
    if (r->paused)
        return INT64_MAX;
    bool first = !r->answered && r->first_byte_ms > 0;
    return r->last_byte + (first ? r->first_byte_ms : h->net.timeout_ms);
}
