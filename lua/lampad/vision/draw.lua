-- Shapes on pictures, pixel for pixel as Pillow's ImageDraw draws them: lines, rectangles, ellipses, polygons. A canvas is a
-- uint8 tensor (3, H, W); a shape is turned into horizontal runs of pixels, which are painted or blended.
local draw = {}

local Canvas = {}
Canvas.__index = Canvas

--- A canvas on a uint8 tensor (3, H, W), which is drawn into.
function draw.canvas(image)
  return setmetatable({ image = image, height = image:size(1), width = image:size(2) }, Canvas)
end

-- Pixels x0 to x1 of a row. ink: {r, g, b} or {r, g, b, alpha}, alpha of 255.
function Canvas:run(y, x0, x1, ink)
  if y < 0 or y >= self.height then return end
  x0, x1 = math.max(x0, 0), math.min(x1, self.width - 1)
  if x0 > x1 then return end
  local alpha = ink[4] or 255
  for c = 0, 2 do
    local row = self.image[c][y]:narrow(0, x0, x1 - x0 + 1)
    if alpha == 255 then
      row:fill_(ink[c + 1])
    else
      -- Division by 255, rounded, as integers do it.
      local t = row:int() * (255 - alpha) + (ink[c + 1] * alpha + 128)
      row:copy_((t // 256 + t) // 256)
    end
  end
end

function Canvas:point(x, y, ink) self:run(y, x, x, ink) end

-- Bresenham's line without its last pixel.
function Canvas:open_line(x0, y0, x1, y1, ink)
  local dx, dy = math.abs(x1 - x0), math.abs(y1 - y0)
  local xs, ys = x1 < x0 and -1 or 1, y1 < y0 and -1 or 1
  if dy == 0 then
    if dx > 0 then self:run(y0, math.min(x0, x1 - xs), math.max(x0, x1 - xs), ink) end
    return
  end
  -- Far beyond the picture nothing shows; the loop is as long as the line.
  local steep = dy >= dx
  local long, short = steep and dy or dx, steep and dx or dy
  local e = 2 * short - long
  for _ = 1, long do
    self:point(x0, y0, ink)
    if e >= 0 then
      if steep then x0 = x0 + xs else y0 = y0 + ys end
      e = e - 2 * long
    end
    e = e + 2 * short
    if steep then y0 = y0 + ys else x0 = x0 + xs end
  end
end

--- A rectangle with its corners, filled or as an outline `width` pixels thick inwards.
function Canvas:rectangle(x0, y0, x1, y1, ink, filled, width)
  if filled then
    for y = math.max(y0, 0), math.min(y1, self.height - 1) do self:run(y, x0, x1, ink) end
    return
  end
  for i = 0, math.max(width, 1) - 1 do
    self:run(y0 + i, x0, x1, ink)
    self:run(y1 - i, x0, x1, ink)
    local from, to = y0 + width, y1 - width
    -- Of an outline thicker than the rectangle the sides run the other way.
    if from > to + 1 then from, to = to + 2, from end
    for y = math.max(from, 0), math.min(to, self.height - 1) do
      self:point(x1 - i, y, ink)
      self:point(x0 + i, y, ink)
    end
  end
end

--- A filled ellipse that fits into the box x0, y0, x1, y1, pixels included. Coordinates are doubled from the centre, so that
--- they stay whole; of the next pixels along a quarter the one is taken that is nearest to the curve.
function Canvas:ellipse(x0, y0, x1, y1, ink)
  local a, b = x1 - x0, y1 - y0
  if a < 0 or b < 0 then return end
  local x, y = a, b % 2
  local end_x, end_y = a % 2, b
  local function distance(px, py) return math.abs(a * a * py * py + b * b * px * px - a * a * b * b) end
  local function rows(at_x, at_y)
    local left, right = x0 + (a - at_x) // 2, x0 + (a + at_x) // 2
    self:run(y0 + (b + at_y) // 2, left, right, ink)
    if at_y > 0 then self:run(y0 + (b - at_y) // 2, left, right, ink) end
  end
  local last
  while true do
    if y ~= last then
      rows(x, y)
      last = y
    end
    if x == end_x and y == end_y then return end
    local next_x, next_y = x, y + 2
    local best = distance(next_x, next_y)
    if x > 1 then
      if distance(x - 2, y + 2) < best then next_x, next_y, best = x - 2, y + 2, distance(x - 2, y + 2) end
      if distance(x - 2, y) < best then next_x, next_y = x - 2, y end
    end
    x, y = next_x, next_y
  end
end

-- Halves away from zero, and towards zero.
local function round_up(v) return v >= 0 and math.floor(v + 0.5) or -math.floor(-v + 0.5) end
local function round_down(v) return v >= 0 and math.ceil(v - 0.5) or -math.ceil(-v - 0.5) end

-- Fills the polygon of edges {x0, y0, x1, y1} row by row.
function Canvas:edges(edges, ink)
  local top, bottom, sloped = math.huge, -math.huge, {}
  for _, e in ipairs(edges) do
    local low, high = math.min(e[2], e[4]), math.max(e[2], e[4])
    top, bottom = math.min(top, low), math.max(bottom, high)
    if low == high then
      if (ink[4] or 255) == 255 then self:run(low, math.min(e[1], e[3]), math.max(e[1], e[3]), ink) end
    else
      sloped[#sloped + 1] = { low = low, high = high, x = e[1], y = e[2], slope = (e[3] - e[1]) / (e[4] - e[2]) }
    end
  end
  for y = math.max(top, 0), math.min(bottom, self.height - 1) do
    local cuts = {}
    for _, e in ipairs(sloped) do
      if y >= e.low and y <= e.high then
        local cut = (y - e.y) * e.slope + e.x
        cuts[#cuts + 1] = cut
        -- A row through the lower end of an edge meets the next one there too.
        if y == e.high and y < bottom then cuts[#cuts + 1] = cut end
      end
    end
    table.sort(cuts)
    local from = math.mininteger
    for i = 2, #cuts, 2 do
      local right, left = round_down(cuts[i]), math.max(round_up(cuts[i - 1]), from)
      if right >= left then
        self:run(y, left, right, ink)
        from = right + 1
      end
    end
  end
end

--- A filled polygon of corners {x, y, x, y, ...}.
function Canvas:polygon(corners, ink)
  local edges, n = {}, #corners // 2
  for i = 1, n do
    local j = i % n + 1
    edges[i] = { corners[2 * i - 1], corners[2 * i], corners[2 * j - 1], corners[2 * j] }
  end
  self:edges(edges, ink)
end

--- A line with both its ends, `width` pixels thick.
function Canvas:line(x0, y0, x1, y1, ink, width)
  if width <= 1 then
    self:open_line(x0, y0, x1, y1, ink)
    self:point(x1, y1, ink)
    return
  end
  local dx, dy = x1 - x0, y1 - y0
  if dx == 0 and dy == 0 then return self:point(x0, y0, ink) end
  local half, length = (width - 1) / 2, math.sqrt(dx * dx + dy * dy)
  local more, less = round_up(half) / length, round_down(half) / length
  local x_less, x_more = round_down(less * dy), round_down(more * dy)
  local y_less, y_more = round_down(less * dx), round_up(more * dx)
  self:polygon({ x0 - x_less, y0 + y_more, x1 - x_less, y1 + y_more, x1 + x_more, y1 - y_less, x0 + x_more, y0 - y_less }, ink)
end

--- Dashes of 5 pixels and gaps of 5, from the first point on.
function Canvas:dashes(x1, y1, x2, y2, ink, width)
  local left, dash = math.sqrt((x2 - x1) ^ 2 + (y2 - y1) ^ 2), true
  local function whole(v) return math.tointeger(v >= 0 and math.floor(v) or math.ceil(v)) end
  while left > 0 do
    local length = math.min(left, 5)
    local angle = math.atan(y2 - y1, x2 - x1)
    local x, y = x1 + math.cos(angle) * length, y1 + math.sin(angle) * length
    if dash then self:line(whole(x1), whole(y1), whole(x), whole(y), ink, width) end
    left, x1, y1, dash = left - length, x, y, not dash
  end
end

return draw
