/* The least that an httpd handler can do: the yardstick for the cost of a request inside Apache itself. */
#include <httpd.h>
#include <http_config.h>
#include <http_protocol.h>
#include <string.h>

static int answer(request_rec *r) {
    if (r->handler == NULL || strcmp(r->handler, "bench-c") != 0) return DECLINED;
    ap_set_content_type(r, "text/plain");
    ap_set_content_length(r, 12);
    ap_rputs("Hello world\n", r);
    return OK;
}

static void register_hooks(apr_pool_t *pool) {
    (void)pool;
    ap_hook_handler(answer, NULL, NULL, APR_HOOK_MIDDLE);
}

AP_DECLARE_MODULE(bench_c) = {STANDARD20_MODULE_STUFF, NULL, NULL, NULL, NULL, NULL, register_hooks, 0};
