-- wrk -s wrk.lua URL -- BODY EXPECTED STATUS [FIELD ...]
-- Posts BODY, with header fields such as "Name: value"; counts every answer as failed that is not STATUS with exactly EXPECTED; prints one line of JSON.
local threads = {}

function setup(thread)
  table.insert(threads, thread)
end

function init(args)
  wrk.method = "POST"
  wrk.body = args[1]
  wrk.headers["Content-Type"] = "application/json"
  expected = args[2]
  expected_status = tonumber(args[3])
  for i = 4, #args do
    local name, value = args[i]:match("^([^:]+): (.*)$")
    wrk.headers[name] = value
  end
  wrong = 0
  request_bytes = wrk.format()
end

function request()
  return request_bytes
end

function response(status, headers, body)
  if status ~= expected_status or body ~= expected then
    wrong = wrong + 1
  end
end

function done(summary, latency, requests)
  local failures = summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout
  for _, thread in ipairs(threads) do
    failures = failures + thread:get("wrong")
  end
  io.write(string.format(
    '\n{"requests": %d, "seconds": %.6f, "failures": %d, "p50_ms": %.4f, "p99_ms": %.4f}\n',
    summary.requests, summary.duration / 1e6, failures, latency:percentile(50) / 1000, latency:percentile(99) / 1000))
end
