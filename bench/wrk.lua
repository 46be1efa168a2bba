-- Drives the requests of a targets file in turn and prints one line of JSON when done.
-- Arguments after `--`: the targets file (a path with its query a line), the method, the body size in bytes.

local heads = {}
local body = ""
local next_target = 0

function init(args)
  local method = args[2]
  local size_bytes = tonumber(args[3])
  body = string.rep("0123456789abcdef", math.ceil(size_bytes / 16)):sub(1, size_bytes)
  for target in io.lines(args[1]) do
    -- Formatted with the body for its Content-Length, kept without it: thousands of bodies would fill memory.
    heads[#heads + 1] = wrk.format(method, target, nil, body):sub(1, -#body - 1)
  end
end

function request()
  next_target = next_target % #heads + 1
  return heads[next_target] .. body
end

function done(summary, latency, requests)
  local failed = summary.errors
  io.write(string.format(
    '{"requests": %d, "bytes": %d, "seconds": %.6f, "p50_ms": %.4f, "p99_ms": %.4f, "errors": %d}\n',
    summary.requests, summary.bytes, summary.duration / 1e6,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    failed.connect + failed.read + failed.write + failed.status + failed.timeout))
end
