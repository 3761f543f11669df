-- Files that a data set holds open: one handle for each path. They are of this Lua state: a worker that gets the data set opens
-- the file for itself.

--- handles(open): a function of a path that gives open(path), the same handle every time.
return function(open)
  local handles = {}
  return function(path)
    local handle = handles[path]
    if not handle then
      handle = open(path)
      handles[path] = handle
    end
    return handle
  end
end
