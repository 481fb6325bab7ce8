-- What every script shares: tokens by turns, a number for each thread, and one line of JSON at the end.
-- TOKENS is a file with one bearer token a line; without it, requests go out without a credential. CONSISTENCY is sent as that header.
local threads = {}

function setup(thread)
  thread:set("tid", #threads)
  threads[#threads + 1] = thread
end

-- The headers of a request up to its end, one text per token; the rest of a request is written around them.
function heads(extra)
  local host = "Host: " .. (wrk.headers["Host"] or wrk.host) .. "\r\n" .. (extra or "")
  local consistency = os.getenv("CONSISTENCY")
  if consistency then host = host .. "Consistency: " .. consistency .. "\r\n" end
  local file = os.getenv("TOKENS")
  if not file or file == "" then return { host } end
  local list = {}
  for token in io.lines(file) do list[#list + 1] = host .. "Authorization: Bearer " .. token .. "\r\n" end
  return list
end

function seed()
  math.randomseed(os.time() * 16 + tid * 7919 + tonumber(os.getenv("SEED") or "0"))
end

-- `issued`: how far the thread that went furthest has walked, for scripts that never ask the same thing twice.
function done(summary, latency)
  local issued = 0
  for _, thread in ipairs(threads) do issued = math.max(issued, tonumber(thread:get("issued")) or 0) end
  local e = summary.errors
  io.write(string.format(
    '\nRESULT {"requests":%d,"seconds":%.6f,"p50":%.3f,"p99":%.3f,"refused":%d,"broken":%d,"issued":%d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1000, latency:percentile(99) / 1000,
    e.status, e.connect + e.read + e.write + e.timeout, issued))
end
