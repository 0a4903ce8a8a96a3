#include "module/trailer_filter.h"

#include <apr_buckets.h>
#include <apr_strings.h>
#include <util_filter.h>

#include <cstring>
#include <string>

namespace nwsgi::httpd_side {
namespace {

// What httpd's CHUNK filter ends a response with: the last chunk, and an empty list of trailers.
constexpr char kLastChunk[] = "0\r\n\r\n";
constexpr apr_size_t kLastChunkSize = sizeof kLastChunk - 1;

ap_filter_rec_t* trailer_filter = nullptr;

int add_line(void* text, const char* name, const char* value) {
  *static_cast<std::string*>(text) += std::string(name) + ": " + value + "\r\n";
  return 1;
}

bool is_last_chunk(apr_bucket* bucket) {
  const char* bytes = nullptr;
  apr_size_t size = 0;
  return !APR_BUCKET_IS_METADATA(bucket) && bucket->length == kLastChunkSize &&
         apr_bucket_read(bucket, &bytes, &size, APR_BLOCK_READ) == APR_SUCCESS && size == kLastChunkSize &&
         std::memcmp(bytes, kLastChunk, kLastChunkSize) == 0;
}

// Runs below CHUNK, which makes the last chunk a bucket of its own in front of the end of the response.
apr_status_t send_trailers(ap_filter_t* filter, apr_bucket_brigade* brigade) {
  apr_bucket* const last = APR_BRIGADE_LAST(brigade);
  if (!filter->r->chunked || APR_BRIGADE_EMPTY(brigade) || !APR_BUCKET_IS_EOS(last)) {
    return ap_pass_brigade(filter->next, brigade);
  }
  apr_bucket* const chunk = APR_BUCKET_PREV(last);
  if (chunk != APR_BRIGADE_SENTINEL(brigade) && is_last_chunk(chunk)) {
    std::string end = "0\r\n";
    apr_table_do(add_line, &end, filter->r->trailers_out, nullptr);
    end += "\r\n";
    APR_BUCKET_INSERT_BEFORE(last, apr_bucket_heap_create(end.data(), end.size(), nullptr, brigade->bucket_alloc));
    apr_bucket_delete(chunk);
  }
  ap_filter_t* const next = filter->next;
  ap_remove_output_filter(filter);
  return ap_pass_brigade(next, brigade);
}

}  // namespace

void register_trailer_filter() {
  trailer_filter = ap_register_output_filter("NWSGI_TRAILERS", send_trailers, nullptr,
                                             static_cast<ap_filter_type>(AP_FTYPE_TRANSCODE + 1));
}

void add_trailer_filter(request_rec* r) { ap_add_output_filter_handle(trailer_filter, nullptr, r, r->connection); }

}  // namespace nwsgi::httpd_side
