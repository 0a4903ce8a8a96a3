#include "python_addon/pumps.h"

#include <utility>

namespace nwsgi::python_addon {

Pumps::Pumped Pumps::open(std::string record, bool has_body) {
  Ref<Exchange> exchange = Exchange::create(std::move(record), has_body);
  const uint64_t token = ++last_token_;
  entries_[token].exchange = exchange;
  {
    std::lock_guard lock(mutex_);
    waiting_.emplace(exchange.get(), Waiting{token, false});
  }
  exchange->set_sink_on_server(this);
  return {token, std::move(exchange)};
}

Ref<Exchange> Pumps::find(uint64_t token) const {
  const auto entry = entries_.find(token);
  return entry == entries_.end() ? nullptr : entry->second.exchange;
}

const exchange::Work* Pumps::take(uint64_t token) {
  const auto entry = entries_.find(token);
  if (entry == entries_.end()) return nullptr;
  {
    std::lock_guard lock(mutex_);
    waiting_[entry->second.exchange.get()].told = false;
  }
  // The chunks of what was taken before are with JavaScript by now.
  entry->second.work = exchange::Work();
  entry->second.work = entry->second.exchange->poll_on_server();
  return &entry->second.work;
}

void Pumps::finish(uint64_t token) {
  const auto entry = entries_.find(token);
  if (entry == entries_.end()) return;
  const Ref<Exchange> exchange = entry->second.exchange;
  exchange->finish_on_server();
  {
    std::lock_guard lock(mutex_);
    waiting_.erase(exchange.get());
  }
  entries_.erase(entry);
}

exchange::Sink::Told Pumps::on_news(Exchange* exchange) noexcept {
  uint64_t token = 0;
  {
    std::lock_guard lock(mutex_);
    const auto found = waiting_.find(exchange);
    if (found == waiting_.end() || std::exchange(found->second.told, true)) return {};
    token = found->second.token;
  }
  tell_(token);
  return {};
}

}  // namespace nwsgi::python_addon
