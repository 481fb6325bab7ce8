-- Puts users into segments, never the same pair twice: walks through the pairs of the USERS users from id FIRST on with
-- SEGMENT_1..SEGMENT_<SEGMENTS>; START: how far the walks before this one went. RATE, if set: adds a second, by schedule.
dofile(os.getenv("LOAD") .. "/common.lua")
local users, first, start = tonumber(os.getenv("USERS")), tonumber(os.getenv("FIRST")), tonumber(os.getenv("START"))
local segments, stride, rate = tonumber(os.getenv("SEGMENTS")), tonumber(os.getenv("THREADS")), tonumber(os.getenv("RATE"))
local list
issued = 0

function init()
  list = heads("Content-Type: application/json\r\n")
end

function request()
  local pair = start + issued * stride + tid
  issued = issued + 1
  local body = '{"slug":"SEGMENT_' .. (1 + math.floor(pair / users) % segments) .. '"}'
  return "POST /api/users/" .. (first + pair * 7919 % users) .. "/segments HTTP/1.1\r\n" .. list[issued % #list + 1]
    .. "Content-Length: " .. #body .. "\r\n\r\n" .. body
end

if rate then
  -- Milliseconds until the next add is due, whatever the answers take; late ones go out at once.
  local ffi = require("ffi")
  ffi.cdef [[ typedef struct { long s; long ns; } moment; int clock_gettime(int, moment *); ]]
  local moment, planned, began = ffi.new("moment"), 0, nil
  function delay()
    ffi.C.clock_gettime(1, moment)
    local now = tonumber(moment.s) * 1000 + tonumber(moment.ns) / 1e6
    began = began or now
    planned = planned + 1
    return math.max(0, math.floor(began + planned * 1000 * stride / rate - now))
  end
end
