-- Requests a different page as a different person each time: `visits` is a list of pairs of path and cookie.
local turn = 0

function request()
  turn = turn % #visits + 1
  return wrk.format("GET", visits[turn][1], { ["Cookie"] = visits[turn][2], ["Host"] = wrk.headers["Host"] })
end
