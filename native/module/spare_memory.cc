#include "module/spare_memory.h"

#include <apr_allocator.h>
#include <apr_buckets.h>
#include <apr_pools.h>
#include <apr_thread_mutex.h>
#include <http_core.h>
#include <util_filter.h>

namespace nwsgi::httpd_side {
namespace {

// APR's smallest block; a connection uses hardly any others.
constexpr apr_size_t kBlock = 8192;
constexpr apr_size_t kPage = 4096;
constexpr apr_size_t kStore = 1024 * 1024;
constexpr int kLent = 2;
constexpr int kMostCollected = 16;

// How much an allocator has free it does not tell; it counts it down from its limit, in pages. prepare() makes sure that these are
// the words, or all this is left alone.
struct AllocatorHead {
  apr_size_t largest;
  apr_size_t limit;  // 0: none, nothing is counted
  apr_size_t left;
};

apr_allocator_t* store = nullptr;  // null: not to be used; set before the child serves

apr_size_t free_pages(const apr_allocator_t* allocator) {
  const auto* head = reinterpret_cast<const AllocatorHead*>(allocator);
  const apr_size_t left = __atomic_load_n(&head->left, __ATOMIC_RELAXED);
  return head->limit > left ? head->limit - left : 0;
}

apr_memnode_t* take_block(apr_allocator_t* allocator) { return apr_allocator_alloc(allocator, kBlock - APR_MEMNODE_T_SIZE); }

bool counts_as_expected() {
  apr_allocator_t* trial = nullptr;
  if (apr_allocator_create(&trial) != APR_SUCCESS) return false;
  apr_allocator_max_free_set(trial, kStore);
  const auto* head = reinterpret_cast<const AllocatorHead*>(trial);
  bool right = head->limit == kStore / kPage && head->left == kStore / kPage;
  apr_memnode_t* const block = take_block(trial);
  right = right && block != nullptr && free_pages(trial) == 0;
  if (block != nullptr) apr_allocator_free(trial, block);
  right = right && free_pages(trial) == kBlock / kPage;
  apr_allocator_destroy(trial);
  return right;
}

// The core's input filter drops an emptied block when it is called next, whatever for. It must not read: nobody would be woken for
// what it finds. Asked for something that it does not know, it does nothing else.
void let_go_of_input(const request_rec* r) {
  constexpr auto kNothing = static_cast<ap_input_mode_t>(7);
  ap_filter_t* last = r->connection->input_filters;
  while (last->next != nullptr) last = last->next;
  if (last->frec != ap_core_input_filter_handle) return;
  apr_bucket_brigade* const brigade = apr_brigade_create(r->pool, r->connection->bucket_alloc);
  last->frec->filter_func.in_func(last, brigade, kNothing, APR_NONBLOCK_READ, 0);
  apr_brigade_destroy(brigade);
}

}  // namespace

void prepare_spare_memory(apr_pool_t* child_pool) {
  apr_allocator_t* made = nullptr;
  apr_thread_mutex_t* mutex = nullptr;
  if (!counts_as_expected() || apr_allocator_create(&made) != APR_SUCCESS) return;
  if (apr_thread_mutex_create(&mutex, APR_THREAD_MUTEX_DEFAULT, child_pool) != APR_SUCCESS) return;
  apr_allocator_mutex_set(made, mutex);
  apr_allocator_max_free_set(made, kStore);
  store = made;
}

void lend_memory(conn_rec* c) noexcept {
  apr_allocator_t* const own = apr_pool_allocator_get(c->pool);
  if (store == nullptr || free_pages(own) != 0) return;
  for (int i = 0; i < kLent && free_pages(store) != 0; ++i) {
    apr_memnode_t* const block = take_block(store);
    if (block == nullptr) return;
    block->next = nullptr;
    apr_allocator_free(own, block);
  }
}

void collect_memory(conn_rec* c, const request_rec* just_read) noexcept {
  apr_allocator_t* const own = apr_pool_allocator_get(c->pool);
  if (store == nullptr) return;
  if (just_read != nullptr) let_go_of_input(just_read);
  apr_memnode_t* collected = nullptr;
  apr_size_t before = free_pages(own);
  for (int i = 0; i < kMostCollected && before != 0; ++i) {
    apr_memnode_t* const block = take_block(own);
    if (block == nullptr) break;
    block->next = collected;
    collected = block;
    const apr_size_t now = free_pages(own);
    if (now >= before) break;  // a new one: what is left is of another size
    before = now;
  }
  if (collected != nullptr) apr_allocator_free(store, collected);
}

}  // namespace nwsgi::httpd_side
