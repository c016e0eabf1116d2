-- What wrk asks for where every request has a query and a page that led to it of its own.
local number = 0

request = function()
  number = number + 1
  wrk.headers["Referer"] = "https://example.org/profiles/" .. number
  return wrk.format("GET", wrk.path .. "?v=" .. number)
end
