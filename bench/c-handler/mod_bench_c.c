/* The least that an httpd handler can do: the yardsticks for the cost of a request inside Apache itself.
 *   SetHandler bench-c         the handler in a <Location>: Apache maps the URL to a file that is not there
 *   /bench-c-resolved          the same handler, whose mount the module resolves itself: no directory is walked
 *   SetHandler bench-c-upload  reads the request's body and answers how long it was */
#include <httpd.h>
#include <http_config.h>
#include <http_protocol.h>
#include <http_request.h>
#include <string.h>

static const char resolved[] = "/bench-c-resolved";
static const char handler_name[] = "bench-c";

static int resolve(request_rec *r) {
    if (strncmp(r->uri, resolved, sizeof resolved - 1) != 0) return DECLINED;
    r->filename = (char *) resolved;
    r->handler = handler_name;
    return OK;
}

static int map_to_nothing(request_rec *r) {
    return r->filename == resolved ? OK : DECLINED;
}

static int answer_hello(request_rec *r) {
    ap_set_content_type(r, "text/plain");
    ap_set_content_length(r, 12);
    ap_rputs("Hello world\n", r);
    return OK;
}

static int answer_upload(request_rec *r) {
    char buffer[65536];
    apr_off_t length = 0;
    long count = 0;
    int status = ap_setup_client_block(r, REQUEST_CHUNKED_DECHUNK);
    if (status != OK) return status;
    if (ap_should_client_block(r)) {
        while ((count = ap_get_client_block(r, buffer, sizeof buffer)) > 0) length += count;
    }
    if (count < 0) return HTTP_BAD_REQUEST;
    ap_set_content_type(r, "text/plain");
    ap_rprintf(r, "%" APR_OFF_T_FMT "\n", length);
    return OK;
}

static int answer(request_rec *r) {
    if (r->handler == NULL) return DECLINED;
    if (r->handler == handler_name || strcmp(r->handler, handler_name) == 0) return answer_hello(r);
    return strcmp(r->handler, "bench-c-upload") == 0 ? answer_upload(r) : DECLINED;
}

static void register_hooks(apr_pool_t *pool) {
    (void) pool;
    ap_hook_translate_name(resolve, NULL, NULL, APR_HOOK_FIRST);
    ap_hook_map_to_storage(map_to_nothing, NULL, NULL, APR_HOOK_FIRST);
    ap_hook_handler(answer, NULL, NULL, APR_HOOK_MIDDLE);
}

AP_DECLARE_MODULE(bench_c) = {STANDARD20_MODULE_STUFF, NULL, NULL, NULL, NULL, NULL, register_hooks, 0};
