-- One invocation per request, for any URL that takes a JSON body:
--
--   wrk -t1 -c32 -d10s --latency -s benches/wrk/invoke.lua URL [-- EXECUTION_ID]
--
-- URL is a function's /invoke, a reverse proxy in front of it, or picofaas'
-- /v1/functions/NAME:invoke. All get the same bytes but for the path. EXECUTION_ID
-- is sent as X-Execution-Id, which a function called without picofaas asks for.
--
-- The request is formatted once. There is no response() here: calling Lua for each
-- answer costs wrk a third of its speed. wrk itself counts answers above 399 and broken
-- connections; whoever compares results verifies the content of some answers besides.

wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = '{"input":{"text":"The quick brown fox jumps over the lazy dog, and nobody asked it why."}}'

function init(args)
  if args[1] then
    wrk.headers["X-Execution-Id"] = args[1]
  end
end

-- For people, and one line of JSON behind a mark for programs.
function done(summary, latency)
  local errors = summary.errors
  io.write(string.format("answers above 399: %d of %d\n", errors.status, summary.requests))
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
    errors.status
  ))
end
