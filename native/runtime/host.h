// The ApplicationHost of an Apache child: all application groups of the process and the thread that supervises them.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <thread>
#include <unordered_map>

#include "runtime/group.h"

namespace nwsgi::runtime {

class Host final : public exchange::ApplicationHost {
 public:
  static Host* start(const exchange::HostOptions& options, const exchange::ServerServices& services,
                     exchange::Failure* error);
  ~Host() override = default;

  void submit(const exchange::GroupRef& group, exchange::Ref<exchange::Exchange> exchange) override;
  void preload(const exchange::Preload& preload) override;
  void report_timeout(const exchange::GroupRef& group) override;
  void begin_stop(bool graceful) override;
  bool shutdown(std::chrono::milliseconds limit) override;
  const char* runtime_version() const override;

 private:
  Host(std::unique_ptr<Platform> platform, const exchange::HostOptions& options,
       const exchange::ServerServices& services);
  Group& group(std::string_view name, void* site);
  void supervise();
  bool all_ended();
  template <typename Visit>
  void each_group(Visit visit);

  const std::unique_ptr<Platform> platform_;
  const exchange::ServerServices services_;
  GroupSettings settings_;

  struct NameHash {
    using is_transparent = void;
    size_t operator()(std::string_view name) const { return std::hash<std::string_view>{}(name); }
  };
  std::shared_mutex groups_mutex_;  // groups are only ever added
  std::unordered_map<std::string, std::unique_ptr<Group>, NameHash, std::equal_to<>> groups_;

  std::thread supervisor_;
  std::mutex supervisor_mutex_;
  std::condition_variable supervisor_wake_;
  bool ending_ = false;
};

}  // namespace nwsgi::runtime
