-- Which segments is a user in whom nobody asked about before? Walks through the USERS users from id FIRST on, each once, in an
-- order that leaps about; START: how far the walks before this one went. Needs USERS without the factor 7919.
dofile(os.getenv("LOAD") .. "/common.lua")
local users, first, start = tonumber(os.getenv("USERS")), tonumber(os.getenv("FIRST")), tonumber(os.getenv("START"))
local stride = tonumber(os.getenv("THREADS"))
local list
issued = 0

function init()
  list = heads()
end

function request()
  local step = start + issued * stride + tid
  issued = issued + 1
  return "GET /api/users/" .. (first + step * 7919 % users) .. "/segments HTTP/1.1\r\n" .. list[issued % #list + 1] .. "\r\n"
end
