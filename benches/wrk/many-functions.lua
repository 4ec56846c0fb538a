-- One invocation per request, of one function after the other:
--
--   wrk -t1 -c8 -d5s --latency -s benches/wrk/many-functions.lua http://127.0.0.1:8080 -- PREFIX COUNT
--
-- The functions are PREFIX-0 to PREFIX-(COUNT-1) of the picofaas at the URL; a path in the URL is not used. Each
-- thread goes round by itself, and each begins elsewhere.
--
-- An answer that is not 2xx is counted by its status and printed at the end. That costs wrk some of its speed,
-- as Lua is called for each answer.

local threads = {}

function setup(thread)
  thread:set("number", #threads)
  table.insert(threads, thread)
end

wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = '{"input":{"text":"The quick brown fox jumps over the lazy dog, and nobody asked it why."}}'

local requests, at = {}, 0

function init(args)
  local prefix, count = args[1], tonumber(args[2])
  if not prefix or not count or count ~= math.floor(count) or count < 1 then
    error("say which functions: -- PREFIX COUNT, such as -- echo 100 for echo-0 to echo-99")
  end
  for index = 0, count - 1 do
    table.insert(requests, wrk.format(nil, string.format("/v1/functions/%s-%d:invoke", prefix, index)))
  end
  -- Threads that went round in step would call each function several times at once.
  at = number * 7919 % count
end

function request()
  at = at % #requests + 1
  return requests[at]
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
