#include "python_addon/session.h"

#include <algorithm>
#include <cstdio>
#include <utility>

#include "exchange/record.h"

namespace nwsgi::python_addon {

namespace {

class Taker final : public exchange::RequestTaker {
 public:
  explicit Taker(std::shared_ptr<Session> session) : session_(std::move(session)) {}
  bool take(const Ref<Exchange>& exchange) noexcept override { return session_->take(exchange); }
  size_t in_progress() const noexcept override { return session_->in_progress(); }
  void close(const exchange::Failure& failure) noexcept override { session_->close(failure); }

 private:
  const std::shared_ptr<Session> session_;
};

class Watcher final : public python::Observer {
 public:
  explicit Watcher(std::shared_ptr<Session> session) : session_(std::move(session)) {}

  void on_loaded(uint32_t ticket, Ref<Application> application, python::Fault fault) noexcept override {
    auto news = std::make_unique<News>(News::Kind::kLoaded);
    news->ticket = ticket;
    news->application = std::move(application);
    news->fault = std::move(fault);
    session_->post(std::move(news));
  }
  void on_request_fault(python::RequestFault fault) noexcept override { session_->post_fault(std::move(fault)); }
  void on_log(uint8_t level, std::string text) noexcept override {
    auto news = std::make_unique<News>(News::Kind::kLog);
    news->level = level;
    news->text = text;
    // The environment has ended; standard error is read by the server, or is its log.
    if (!session_->post(std::move(news))) std::fprintf(stderr, "%s\n", text.c_str());
  }
  void on_request_over() noexcept override { session_->request_over(); }
  void on_stuck(std::string where, std::string stack) noexcept override {
    auto news = std::make_unique<News>(News::Kind::kStuck);
    news->text = std::move(where);
    news->stack = std::move(stack);
    session_->post(std::move(news));
  }

 private:
  const std::shared_ptr<Session> session_;
};

}  // namespace

Ref<exchange::RequestTaker> taker_for(std::shared_ptr<Session> session) {
  return Ref<exchange::RequestTaker>::adopt(new Taker(std::move(session)));
}

std::string_view target_of(std::string_view record) {
  std::string_view name;
  std::string_view value;
  return exchange::RecordReader(record).next(&name, &value) && name == "nwsgi.x-target" ? value : std::string_view();
}

std::shared_ptr<Session> Session::create(python::Host* host, Ref<exchange::Mailbox> mailbox, Post post) {
  std::shared_ptr<Session> session(new Session(host, std::move(mailbox), std::move(post)));
  session->observer_ = Ref<python::Observer>::adopt(new Watcher(session));
  return session;
}

// ---- the mailbox's side ----

bool Session::take(const Ref<Exchange>& exchange) noexcept {
  const std::string_view target = target_of(exchange->record());
  if (target.empty()) return false;
  Ref<Application> application;
  {
    std::lock_guard lock(mutex_);
    const auto route = routes_.find(target);
    if (closed_ || route == routes_.end()) return false;
    application = route->second;
    note_locked(exchange);
  }
  run(std::move(application), exchange);
  return true;
}

void Session::run(Ref<Application> application, Ref<Exchange> exchange) {
  running_.fetch_add(1);
  host_->submit(application.get(), std::move(exchange));
}

// The host does not say which request is over; whoever closes has to know those that are not.
void Session::note_locked(const Ref<Exchange>& exchange) {
  if (begun_.size() >= tidy_at_) {
    begun_.erase(std::remove_if(begun_.begin(), begun_.end(), [](const Ref<Exchange>& one) { return one->over(); }), begun_.end());
    tidy_at_ = std::max<size_t>(64, 2 * begun_.size());
  }
  begun_.push_back(exchange);
}

void Session::close(const exchange::Failure& failure) noexcept {
  std::vector<Ref<Exchange>> begun;
  decltype(routes_) routes;
  {
    std::lock_guard lock(mutex_);
    closed_ = true;
    begun.swap(begun_);
    routes.swap(routes_);
  }
  for (const Ref<Exchange>& exchange : begun) exchange->fail(failure);
}

void Session::leave_on_loop() {
  close({503, "NWSGI3003", "the application's environment has ended", false, 0});
  Ref<python::Observer> observer;
  {
    std::lock_guard lock(mutex_);
    post_ = nullptr;
    observer = std::exchange(observer_, nullptr);
  }
  for (const auto& [token, exchange] : failed_) exchange->fail({503, "NWSGI3003", "the application's environment has ended", true, 0});
  failed_.clear();
  unanswered_.store(0);
  applications_.clear();
}

// ---- Python's side ----

bool Session::post(std::unique_ptr<News> news) noexcept {
  std::lock_guard lock(mutex_);
  if (!holding_) return post_ && post_(&news);
  held_.push_back(std::move(news));
  return true;
}

void Session::hold_on_loop() {
  std::lock_guard lock(mutex_);
  holding_ = true;
}

std::vector<std::unique_ptr<News>> Session::take_held_on_loop() {
  std::lock_guard lock(mutex_);
  holding_ = false;
  return std::exchange(held_, {});
}

void Session::post_fault(python::RequestFault fault) noexcept {
  const Ref<Exchange> exchange = fault.exchange;
  const python::Fault said = fault.fault;
  auto news = std::make_unique<News>(News::Kind::kFault);
  news->request = std::move(fault);
  unanswered_.fetch_add(1);
  if (post(std::move(news))) return;
  unanswered_.fetch_sub(1);
  exchange->fail({500, "NWSGI2201", said.summary, false, 0});
}

void Session::request_over() noexcept {
  if (running_.fetch_sub(1) != 1 || !awaits_end_.load()) return;
  if (awaits_end_.exchange(false)) post(std::make_unique<News>(News::Kind::kOver));
}

// ---- the gateway's side ----

void Session::load_on_loop(uint32_t ticket, const python::ScriptOptions& script) { host_->load(ticket, script, observer_); }

uint32_t Session::keep_on_loop(Ref<Application> application) {
  applications_.emplace(++last_application_, std::move(application));
  return last_application_;
}

void Session::route_on_loop(const std::string& target, uint32_t application) {
  const auto found = applications_.find(application);
  if (found == applications_.end()) return;
  std::lock_guard lock(mutex_);
  if (!closed_) routes_.insert_or_assign(target, found->second);
}

void Session::begin_on_loop(uint32_t application, uint64_t handle) {
  const Ref<Exchange> exchange = mailbox_->find_on_loop(handle);
  const auto found = applications_.find(application);
  if (!exchange || found == applications_.end()) return;
  {
    std::lock_guard lock(mutex_);
    if (closed_) return;  // the mailbox is closed, too: it fails the request
    note_locked(exchange);
  }
  // It is the threads' before the mailbox forgets it, so that it is always counted.
  run(found->second, exchange);
  mailbox_->release_on_loop(handle);
}

void Session::serve_on_loop(uint32_t application, Ref<Exchange> exchange) {
  const auto found = applications_.find(application);
  if (found == applications_.end()) return exchange->fail({500, "NWSGI2004", "the application is gone", false, 0});
  {
    std::lock_guard lock(mutex_);
    note_locked(exchange);
  }
  run(found->second, std::move(exchange));
}

void Session::release_on_loop(uint32_t application) {
  const auto found = applications_.find(application);
  if (found == applications_.end()) return;
  const Ref<Application> kept = std::move(found->second);
  applications_.erase(found);
  std::vector<Ref<Application>> routed;
  std::lock_guard lock(mutex_);
  for (auto route = routes_.begin(); route != routes_.end();) {
    if (route->second.get() != kept.get()) {
      ++route;
      continue;
    }
    routed.push_back(std::move(route->second));
    route = routes_.erase(route);
  }
}

size_t Session::in_flight_on_loop() {
  awaits_end_.store(true);
  size_t awaited = 0;
  if (running_.load() != 0) {
    std::lock_guard lock(mutex_);
    awaited = std::count_if(begun_.begin(), begun_.end(), [](const Ref<Exchange>& one) { return !one->over(); });
  }
  const size_t count = std::min(awaited, running_.load()) + unanswered_.load();
  if (count == 0) awaits_end_.store(false);
  return count;
}

uint64_t Session::await_answer_on_loop(Ref<Exchange> exchange) {
  failed_.emplace(++last_token_, std::move(exchange));
  return last_token_;
}

Ref<Exchange> Session::unanswered_on_loop(uint64_t token) const {
  const auto found = failed_.find(token);
  return found == failed_.end() ? nullptr : found->second;
}

void Session::answered_on_loop(uint64_t token) {
  if (failed_.erase(token) != 0) unanswered_.fetch_sub(1);
}

}  // namespace nwsgi::python_addon
