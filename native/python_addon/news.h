// Brings news of Python's threads to the functions that JavaScript has given for them, on the environment's loop.
#pragma once

#include <napi.h>

#include <memory>

#include "python_addon/session.h"

namespace nwsgi::python_addon {

// Does not keep the event loop alive. Made and destroyed on the loop.
class NewsChannel {
 public:
  // `events`: loaded, fault, over, log, stuck, serve; see src/python/addon.ts.
  NewsChannel(Napi::Env env, Napi::Object events);
  ~NewsChannel();
  NewsChannel(const NewsChannel&) = delete;
  NewsChannel& operator=(const NewsChannel&) = delete;

  // For Session::create(). Takes the news when it returns true.
  Session::Post sender();
  void deliver_to(Session* session);
  // At once, for a loop that will not turn again.
  void deliver_on_loop(Napi::Env env, News& news);

  struct State;

 private:
  std::shared_ptr<State> state_;
};

}  // namespace nwsgi::python_addon
