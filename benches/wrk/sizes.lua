-- One invocation per request, with a body of so many bytes:
--
--   wrk -t1 -c8 -d5s --latency -s benches/wrk/sizes.lua http://127.0.0.1:8080/v1/functions/NAME:invoke -- BYTES
--
-- BYTES is 10240 unless it is given. The body is an object with one text; the function may give it back.
--
-- An answer that is not 2xx is counted by its status and printed at the end. That costs wrk some of its speed,
-- as Lua is called for each answer.

local threads = {}

function setup(thread)
  table.insert(threads, thread)
end

wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"

local before, after = '{"input":{"text":"', '"}}'

function init(args)
  local least = #before + #after
  local bytes = tonumber(args[1] or 10240)
  if not bytes or bytes ~= math.floor(bytes) or bytes < least then
    error(string.format("the number of bytes is %s, and must be a whole number from %d on", args[1], least))
  end
  wrk.body = before .. string.rep("x", bytes - least) .. after
end

-- Answers of each status but 2xx, by thread.
wrong = {}

function response(status)
  if status < 200 or status > 299 then
    wrong[status] = (wrong[status] or 0) + 1
  end
end

-- For people, and one line of JSON behind a mark for programs.
function done(summary, latency)
  local total, statuses = 0, {}
  for _, thread in ipairs(threads) do
    for status, count in pairs(thread:get("wrong")) do
      statuses[status] = (statuses[status] or 0) + count
      total = total + count
    end
  end
  io.write(string.format("answers that were not 2xx: %d of %d\n", total, summary.requests))
  for status, count in pairs(statuses) do
    io.write(string.format("  status %d: %d\n", status, count))
  end
  local errors = summary.errors
  io.write(string.format(
    'wrk-result {"requests":%d,"duration_us":%d,"p50_us":%d,"p90_us":%d,"p99_us":%d,"p999_us":%d,' ..
      '"errors":{"connect":%d,"read":%d,"write":%d,"timeout":%d,"status":%d}}\n',
    summary.requests,
    summary.duration,
    latency:percentile(50),
    latency:percentile(90),
    latency:percentile(99),
    latency:percentile(99.9),
    errors.connect,
    errors.read,
    errors.write,
    errors.timeout,
    total
  ))
end
