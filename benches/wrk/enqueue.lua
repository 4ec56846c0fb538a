-- One accepted execution per request, whose end nobody waits for:
--
--   wrk -t1 -c8 -d5s --latency -s benches/wrk/enqueue.lua http://127.0.0.1:8080/v1/functions/NAME:enqueue
--
-- picofaas keeps each of these executions for its whole --retention, as their clients were promised that they can
-- read the end, and refuses more with 503 RETENTION_FULL. What is accepted in a second, times the retention, has
-- to fit into 7/8 of --max-executions, and what waits at once into the function's queueSize.
--
-- An answer other than 202 is counted by its status and printed at the end. That costs wrk some of its speed,
-- as Lua is called for each answer.

local threads = {}

function setup(thread)
  table.insert(threads, thread)
end

wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = '{"input":{"text":"The quick brown fox jumps over the lazy dog, and nobody asked it why."}}'

-- Answers of each status but 202, by thread.
wrong = {}

function response(status)
  if status ~= 202 then
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
  io.write(string.format("answers that were not 202: %d of %d\n", total, summary.requests))
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
