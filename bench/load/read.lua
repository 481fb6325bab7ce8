-- Which segments is a random user in? USERS: how many there are, from id 1 on.
dofile(os.getenv("LOAD") .. "/common.lua")
local users, list, n = tonumber(os.getenv("USERS")), nil, 0

function init()
  seed()
  list = heads()
end

function request()
  n = n % #list + 1
  return "GET /api/users/" .. math.random(users) .. "/segments HTTP/1.1\r\n" .. list[n] .. "\r\n"
end
