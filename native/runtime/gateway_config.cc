#include "runtime/gateway_config.h"

#include "exchange/json.h"

namespace nwsgi::runtime {

using exchange::json_string;
using exchange::JsonText;

std::string gateway_config(const GroupSettings& settings, const std::string& group, const Scripts& scripts) {
  std::string preload;
  for (const auto& [path, script] : scripts) {
    if (!preload.empty()) preload += ',';
    preload += "{\"script\":" + json_string(path) + ",\"callable\":" + json_string(script.callable) +
               ",\"type\":" + json_string(script.type) + ",\"environment\":" +
               json_string(script.env, JsonText::kLatin1) + ",\"reloading\":" + (script.reloading ? "true" : "false") + "}";
  }
  return "{\"applicationGroup\":" + json_string(group) + ",\"processGroup\":\"\",\"serverSoftware\":" +
         json_string(settings.server_software) + ",\"version\":\"" NWSGI_VERSION "\",\"preload\":[" + preload +
         "],\"execPath\":" + json_string(settings.exec_path) +
         ",\"ownDirectory\":" + (settings.platform->own_directories() ? "true" : "false") +
         (settings.python_json.empty() ? "" : ",\"python\":" + settings.python_json) + "}";
}

}  // namespace nwsgi::runtime
