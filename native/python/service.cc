#include "python/service.h"

#include <sched.h>

#include <algorithm>
#include <utility>

#include "python/threads.h"

namespace nwsgi::python {

bool Service::start(std::function<bool()> begin, Tick tick) {
  return start_thread("nwsgi-python", [this, begin = std::move(begin), tick = std::move(tick)] {
    // A working directory of Python's own: that of the thread that loaded the first application may be a Node environment's, and
    // os.chdir() must not move anybody else. The threads of the pools are made by this one and share it.
    unshare(CLONE_FS);
    if (begin()) run(tick);
  });
}

void Service::post(std::function<void()> task) {
  {
    std::lock_guard lock(mutex_);
    if (over_) return;
    tasks_.push_back(std::move(task));
  }
  news_.notify_one();
}

void Service::hurry() {
  {
    std::lock_guard lock(mutex_);
    hurry_ = true;
    dozing_.store(false, std::memory_order_relaxed);
  }
  news_.notify_one();
}

void Service::quit() {
  std::vector<std::function<void()>> dropped;
  std::lock_guard lock(mutex_);
  over_ = true;
  dropped.swap(tasks_);
}

void Service::run(const Tick& tick) {
  Clock::time_point due = Clock::time_point::max();
  std::unique_lock lock(mutex_);
  while (!over_) {
    const auto has_news = [this] { return hurry_ || !tasks_.empty(); };
    if (due != Clock::time_point::max()) {
      news_.wait_until(lock, due, has_news);
    } else {
      news_.wait(lock, has_news);
    }
    std::vector<std::function<void()>> tasks;
    tasks.swap(tasks_);
    const bool hurried = std::exchange(hurry_, false);
    const Clock::time_point now = Clock::now();
    const bool ticks = hurried || now >= due;
    // Before it looks: a request that it does not see any more finds the thread dozing.
    if (ticks) dozing_.store(true, std::memory_order_relaxed);
    lock.unlock();
    for (const std::function<void()>& task : tasks) task();
    tasks.clear();
    if (ticks) {
      // Between two requests there is nothing to do for a moment: only a whole quiet interval lets the thread doze, else each
      // request would wake it.
      const Clock::time_point next = tick(now);
      due = hurried ? std::min(next, now + kInterval) : next;
    }
    lock.lock();
    if (due != Clock::time_point::max()) dozing_.store(false, std::memory_order_relaxed);
  }
}

}  // namespace nwsgi::python
