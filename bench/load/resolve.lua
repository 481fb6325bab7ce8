-- Which segments are 100 random users in? USERS: how many there are, from id 1 on.
dofile(os.getenv("LOAD") .. "/common.lua")
local users, list, n = tonumber(os.getenv("USERS")), nil, 0

function init()
  seed()
  list = heads("Content-Type: application/json\r\n")
end

function request()
  local ids = {}
  for k = 1, 100 do ids[k] = '"' .. math.random(users) .. '"' end
  local body = '{"users":[' .. table.concat(ids, ",") .. "]}"
  n = n % #list + 1
  return "POST /api/resolve HTTP/1.1\r\n" .. list[n] .. "Content-Length: " .. #body .. "\r\n\r\n" .. body
end
