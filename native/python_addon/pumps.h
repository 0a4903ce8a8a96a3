// Requests of a server that is written in JavaScript (nwsgi serve --http): their exchanges are made here, and JavaScript takes
// out and puts in what a serving thread would.
//
// Threads: the environment's, but for on_news().
// Lifetime: never destroyed once made: a thread of Python may be about to call on_news() for an exchange that is over.
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <unordered_map>

#include "exchange/exchange.h"

namespace nwsgi::python_addon {

using exchange::Exchange;
using exchange::Ref;

class Pumps final : public exchange::Sink {
 public:
  // Told, by any thread, that take() has something.
  using Tell = std::function<void(uint64_t token)>;
  static Pumps* create(Tell tell) { return new Pumps(std::move(tell)); }

  struct Pumped {
    uint64_t token;
    Ref<Exchange> exchange;
  };
  Pumped open(std::string record, bool has_body);
  Ref<Exchange> find(uint64_t token) const;
  // What the application has for the client. Stays valid, with its files open, until the next call for the same request.
  const exchange::Work* take(uint64_t token);
  void finish(uint64_t token);

  exchange::Sink::Told on_news(Exchange* exchange) noexcept override;

 private:
  explicit Pumps(Tell tell) : tell_(std::move(tell)) {}

  struct Entry {
    Ref<Exchange> exchange;
    exchange::Work work;
  };
  const Tell tell_;
  uint64_t last_token_ = 0;
  std::map<uint64_t, Entry> entries_;

  struct Waiting {
    uint64_t token;
    bool told;
  };
  std::mutex mutex_;
  std::unordered_map<const Exchange*, Waiting> waiting_;  // guarded by mutex_
};

}  // namespace nwsgi::python_addon
