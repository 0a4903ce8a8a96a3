-- Arguments behind "--": a method, the length of a body, and milliseconds that each connection waits before each request.
-- What wrk measured is printed as one line of JSON.
function init(args)
  local method, length, pause = args[1] or "GET", tonumber(args[2] or 0), tonumber(args[3] or 0)
  wrk.method = method
  if length > 0 then
    wrk.body = string.rep("x", length)
    wrk.headers["Content-Type"] = "application/octet-stream"
  end
  if pause > 0 then
    function delay() return pause end
  end
end

function done(summary, latency)
  local e = summary.errors
  io.write(string.format('\nfigures {"seconds":%f,"requests":%d,"bytes":%d,"p50":%f,"p99":%f,"p999":%f,"max":%f,',
    summary.duration / 1e6, summary.requests, summary.bytes, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    latency:percentile(99.9) / 1e3, latency.max / 1e3))
  io.write(string.format('"busy":%f,"errors":{"connect":%d,"read":%d,"write":%d,"status":%d,"timeout":%d}}\n',
    os.clock(), e.connect, e.read, e.write, e.status, e.timeout))
end
