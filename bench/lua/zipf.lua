-- 10,000 objects, the first far more popular than the last (Zipf, exponent 0.9). What is
-- asked for and in which order is made beforehand and the same for every server.
local OBJECTS, DRAWS, SKEW = 10000, 200000, 0.9
local heads, order = {}, {}
local turn = 0

init = function(args)
  for object = 1, OBJECTS do
    heads[object] = wrk.format("GET", "/zipf/" .. object)
  end
  local below, total = {}, 0
  for object = 1, OBJECTS do
    total = total + 1 / object ^ SKEW
    below[object] = total
  end
  math.randomseed(2024)
  for draw = 1, DRAWS do
    local wanted = math.random() * total
    local low, high = 1, OBJECTS
    while low < high do
      local middle = math.floor((low + high) / 2)
      if below[middle] < wanted then low = middle + 1 else high = middle end
    end
    order[draw] = heads[low]
  end
end

request = function()
  turn = turn % DRAWS + 1
  return order[turn]
end
