-- vision.io and the files of vision.Image: every kind of file against Pillow and torchvision (tests/golden/images, written
-- by scripts/gen/golden_images.py), boxes, orientation, encoding, files that mean harm.
local torch = require "lampad"
local core = require "lampad.core"
local vio, Image = torch.vision.io, torch.vision.Image
local here = debug.getinfo(1, "S").source:match "^@(.*)/" or "."
local golden = here .. "/../golden/images/"

local function fails(pattern, f, ...)
  local ok, message = pcall(f, ...)
  assert.is_false(ok, pattern)
  assert.truthy(tostring(message):find(pattern, 1, true), message)
  assert.truthy(message:find("vision_io_spec.lua:", 1, true), message)
end

local function crc(t, as16)
  if not as16 then return ("%08x"):format(core.crc32(core.tensor_to_bytes(t:contiguous()))) end
  local values = t:flatten():tolist()
  for i, v in ipairs(values) do values[i] = ("<I2"):pack(v) end
  return ("%08x"):format(core.crc32(table.concat(values)))
end

local function sizes(t) return table.concat(torch.tensor(t.shape):tolist(), "x") end

local values = {}
for line in io.lines(golden .. "values.txt") do
  local name, reader, mode, kind, shape, sum = line:match "^(%S+) (%S+) (%S+) (%S+) ?(%S*) ?(%S*)"
  values[#values + 1] = { name = name, reader = reader, mode = mode, kind = kind, shape = shape, crc = sum }
end
local names, seen = {}, {}
for _, v in ipairs(values) do
  if not seen[v.name] then names[#names + 1] = v.name end
  seen[v.name] = true
end

describe("vision.Image", function()
  -- Modes that Pillow opens and that are not here.
  local other = { P = true, ["1"] = true, I = true, ["I;16"] = true }

  local function open(v)
    if v.mode == "exif" then return Image.open(golden .. v.name, "RGB", { exif_transpose = true }):load() end
    return Image.open(golden .. v.name, v.mode ~= "open" and v.mode or nil):load()
  end

  it("opens every kind of file as Pillow", function()
    local count = 0
    for _, v in ipairs(values) do
      if v.reader == "pillow" and not (v.mode == "open" and other[v.kind]) then
        count = count + 1
        local ok, image = pcall(open, v)
        assert.equal(v.kind ~= "error", ok, v.name .. " " .. v.mode .. " " .. tostring(image))
        if ok then
          assert.equal(v.kind, image.mode, v.name)
          assert.equal(v.shape, image.height .. "x" .. image.width, v.name)
          assert.equal(v.crc, crc(image.data), v.name .. " " .. v.mode)
        else
          assert.truthy(image:find(v.name, 1, true), image) -- names the file
        end
      end
    end
    assert.truthy(count > 600)
  end)

  it("converts as Pillow after it was opened, and turns by EXIF", function()
    for _, v in ipairs(values) do
      if v.reader == "pillow" and v.kind ~= "error" and v.mode ~= "open" then
        local image = Image.open(golden .. v.name):load()
        image = v.mode == "exif" and image:exif_transpose():convert "RGB" or image:convert(v.mode)
        assert.equal(v.crc, crc(image.data), v.name .. " " .. v.mode)
      end
    end
  end)

  it("decodes when it must, and says then what is wrong", function()
    local path = golden .. "truncated.jpg"
    local image = Image.open(path)
    assert.equal(45, image.width)
    fails("cannot read " .. path .. ": the picture is truncated", function() return image.data end)
    fails("the picture is truncated", image.load, image)
    fails("the picture is truncated", image.box, image, 0, 0, 2, 2) -- though these rows are there
    local late = Image.open(golden .. "rgb_420.jpg")
    assert.is_true(torch.equal(late:box(3, 4, 6, 16), Image.open(core.tensor_to_bytes(vio.read_file(golden .. "rgb_420.jpg")) .. "junk")
      :box(3, 4, 6, 16)))
    local good = Image.open(golden .. "rgb_420.jpg")
    local gray = good:convert "L" -- from the file
    assert.is_true(torch.equal(gray.data, good:load():convert "L".data))
    assert.is_true(torch.equal(good.data["3:9, 4:20"], Image.open(golden .. "rgb_420.jpg"):box(3, 4, 6, 16)))
    assert.same({ 34, 27 }, Image.open(golden .. "lossy.webp", { scale = 4 }).size)
  end)

  it("takes paths, strings, tensors and files", function()
    local path = golden .. "rgb_420.jpg"
    local want = Image.open(path)
    assert.equal("JPEG", want.format)
    assert.equal(path, want.filename)
    assert.equal("Image(mode=RGB, size=45x37)", tostring(want))
    local file = assert(io.open(path, "rb"))
    local bytes = file:read "a"
    file:seek("set", 0)
    for _, source in ipairs { bytes, file, vio.read_file(path) } do
      assert.is_true(torch.equal(want.data, Image.open(source).data))
    end
    file:close()
    fails("expected a path, bytes or an open file", Image.open, {})
    fails("mode must be L, LA, RGB, RGBA, CMYK, P or I", Image.open, path, "HSV")
    fails("cannot open /nowhere.png", Image.open, "/nowhere.png")
  end)

  it("keeps indices and integers when asked", function()
    for _, name in ipairs { "palette2.png", "palette8_trns.png", "plain.gif", "palette.bmp", "transparent.gif", "rle8.bmp",
      "palette_tiff_lzw.tif", "palette4.tif" } do
      local image = Image.open(golden .. name, "P")
      assert.equal("P", image.mode)
      assert.equal(4, image.palette:size(1))
      for _, mode in ipairs { "L", "RGB", "RGBA" } do
        assert.is_true(torch.equal(Image.open(golden .. name, mode).data, image:convert(mode).data), name .. " " .. mode)
      end
      assert.equal("P", image:copy().mode)
      for _, v in ipairs(values) do
        if v.name == name and v.kind == "P" then assert.equal(v.crc, crc(image.data), name) end
      end
    end
    local deep = Image.open(golden .. "gray16.png", "I")
    assert.equal(torch.int32, deep.data.dtype)
    assert.is_true(torch.equal(deep.data:squeeze(2), vio.read_image(golden .. "gray16.png")[0]))
    assert.is_true(torch.equal(Image.open(golden .. "gray16.png").data, deep:convert "L".data))
    assert.equal("I", Image.open(golden .. "gray16_packbits.tif", "I"):load().mode)
    assert.is_true(torch.equal(Image.open(golden .. "gray4.png").data:int(), Image.open(golden .. "gray4.png", "I").data))
    fails("the picture has no palette", Image.open, golden .. "rgb8.png", "P")
    fails("the picture is not gray, as mode I is", function() return Image.open(golden .. "rgb8.png", "I"):load() end)
  end)

  it("says what it cannot read", function()
    fails("float.tif: TIFF pictures of signed numbers or floats are not supported", Image.open, golden .. "float.tif")
    fails("jpeg.tif: TIFF pictures with compression 7 are not supported; convert it to PNG", Image.open, golden .. "jpeg.tif")
  end)

  it("decodes smaller when asked", function()
    local path = golden .. "rgb_420.jpg"
    local whole = Image.open(path, "L")
    for scale, size in pairs { [1] = "45x37", [2] = "23x19", [4] = "12x10", [8] = "6x5" } do
      local small = Image.open(path, "L", { scale = scale })
      assert.equal(size, small.width .. "x" .. small.height)
      assert.truthy(math.abs(small.data:float():mean():item() - whole.data:float():mean():item()) < 6)
    end
    assert.equal(13, Image.open(golden .. "rgb.bmp", { scale = 8 }).width) -- other formats are as they are
    fails("scale must be 1, 2, 4 or 8, got 3", Image.open, path, { scale = 3 })
  end)

  it("refuses pictures that would fill the memory", function()
    local limit = Image.MAX_IMAGE_PIXELS
    assert.equal(89478485, limit)
    fails("the picture is too large: 60000 x 60000 pixels, the limit is 178956970", Image.open, golden .. "huge.png")
    Image.MAX_IMAGE_PIXELS = 100
    fails("rgb_420.jpg: the picture is too large", Image.open, golden .. "rgb_420.jpg")
    for _, name in ipairs { "lossy.webp", "plain.gif", "rgb8_interlaced.png", "gray.bmp" } do
      Image.MAX_IMAGE_PIXELS = 20
      fails("too large", Image.open, golden .. name)
      Image.MAX_IMAGE_PIXELS = false
      assert.truthy(Image.open(golden .. name))
    end
    Image.MAX_IMAGE_PIXELS = limit
  end)

  it("saves what it opens again", function()
    local base = os.tmpname()
    os.remove(base)
    local image = Image.open(golden .. "rgb_444.jpg")
    local modes = { L = { "png", "bmp", "pgm" }, LA = { "png", "webp" }, RGB = { "png", "bmp", "ppm", "webp" },
      RGBA = { "png", "webp" } }
    for mode, endings in pairs(modes) do
      local one = image:convert(mode)
      for _, ending in ipairs(endings) do
        local path = base .. "." .. ending
        one:save(path, { lossless = true })
        assert.is_true(torch.equal(one.data, Image.open(path):convert(mode).data), mode .. " " .. ending)
        os.remove(path)
      end
    end
    for _, mode in ipairs { "L", "RGB", "CMYK" } do
      local one, path = image:convert(mode), base .. ".jpg"
      one:save(path, { quality = 100 })
      local back = Image.open(path)
      assert.equal(mode, back.mode)
      assert.truthy((back.data:int() - one.data:int()):abs():float():mean():item() < (mode == "RGB" and 20 or 2))
      os.remove(path)
    end
    image:save(base, "png")
    assert.equal("PNG", Image.open(base).format)
    os.remove(base)
    fails("cannot write mode RGBA as JPEG; convert it first", image:convert "RGBA".save, image:convert "RGBA", base .. ".jpg")
    fails("unknown file extension or format 'xyz'", image.save, image, base .. ".xyz")
    fails("No such file or directory", image.save, image, "/nowhere/x.png")
  end)

  it("has Pillow's small things", function()
    local image = Image.new("RGB", { 4, 3 }, { 1, 2, 3 })
    assert.same({ 1, 2, 3 }, image:getpixel { 3, 2 })
    image:putpixel({ 3, 2 }, { 9, 8, 7 })
    assert.same({ 9, 8, 7 }, image:getpixel { -1, -1 })
    assert.same({ "R", "G", "B" }, image:getbands())
    assert.same({ "L", "A" }, image:convert "LA":getbands())
    assert.equal(7, Image.new("L", { 1, 1 }, 7):getpixel { 0, 0 })
    local copy = image:copy()
    copy:putpixel({ 0, 0 }, { 0, 0, 0 })
    assert.same({ 1, 2, 3 }, image:getpixel { 0, 0 })
    assert.equal("3x4", sizes(image:convert "L":numpy()))
    assert.equal("3x4x3", sizes(image:numpy()))
    assert.equal("RGBA", Image.fromarray(torch.zeros(2, 2, 4, { dtype = torch.uint8 })).mode)
    assert.same({}, image:getexif())
    assert.equal(6, Image.open(golden .. "exif6.jpg"):getexif().orientation)
    assert.same({}, Image.open(golden .. "exif6.jpg", { exif_transpose = true }):getexif())
    fails("image index out of range", image.getpixel, image, { 4, 0 })
    fails("a colour of mode RGB is a list of 3 integers", Image.new, "RGB", { 2, 2 }, { 1 })
    fails("size must be {width, height}", Image.new, "RGB", { 2 })
    fails("mode must be", image.convert, image, "HSV")
    fails("cannot make mode P from RGB", image.convert, image, "P")
  end)
end)

-- The checksums are Pillow's.
describe("vision.Image's geometry", function()
  local image = Image.open(golden .. "rgb_444.jpg")
  local function is(want, got)
    assert.equal(want, ("%s %dx%d %s"):format(got.mode, got.width, got.height, crc(got.data)))
  end

  it("resizes, crops, rotates and turns as Pillow", function()
    is("RGB 20x50 7fdcd476", image:resize { 20, 50 })
    is("RGB 90x11 29fd53ea", image:resize({ 90, 11 }, Image.BILINEAR))
    is("RGBA 9x9 f3e2ea5f", image:convert "RGBA":resize({ 9, 9 }, Image.Resampling.LANCZOS))
    local mask = Image.open(golden .. "palette4.png", "P")
    is("P 31x7 afae8159", mask:resize { 31, 7 })
    is("P 5x40 e5dce970", mask:resize { 5, 40 })
    assert.equal(mask.palette, mask:resize { 5, 40 }.palette)
    is("RGB 15x24 f9b93d52", image:crop { 5, 6, 20, 30 })
    is("RGB 54x23 5608a05d", image:crop { -4, -3, 50, 20 })
    is("RGB 15x24 f9b93d52", Image.open(golden .. "rgb_444.jpg"):crop { 5, 6, 20, 30 }) -- only the box is decoded
    is("RGB 45x37 f4a04eec", image:rotate(33))
    is("RGB 59x57 7c9f0e7d", image:rotate(33, Image.BILINEAR, true))
    is("RGB 37x45 c5ef9c12", image:rotate(90, { expand = true }))
    local turned = { [0] = "45x37 d1edba56", "45x37 628ee75c", "37x45 c5ef9c12", "45x37 fcd1505c", "37x45 cddec1eb", "37x45 425659ae",
      "37x45 973a34f8" }
    for method, want in pairs(turned) do is("RGB " .. want, image:transpose(method)) end
    for size, want in pairs { [{ 30, 30 }] = "30x25 ed6dba39", [{ 7, 100 }] = "7x6 211e3b60", [{ 20, 3 }] = "4x3 ee55db13" } do
      local small = image:copy()
      small:thumbnail(size)
      is("RGB " .. want, small)
    end
    local same = image:copy()
    same:thumbnail { 100, 100 }
    assert.equal(45, same.width)
    fails("size must be {width, height}", image.resize, image, 3)
    fails("Coordinate 'right' is less than 'left'", image.crop, image, { 5, 5, 5, 9 })
    fails("box must be {left, upper, right, lower}", image.crop, image, { 1, 2 })
    fails("unknown method", image.transpose, image, 7)
  end)

  it("takes apart, puts together and pastes", function()
    local bands = image:split()
    is("RGB 45x37 c1a6e4ed", Image.merge("RGB", { bands[3], bands[2], bands[1] }))
    is("L 45x37 371a6b2e", image:getchannel "G")
    is("L 45x37 371a6b2e", image:getchannel(1))
    local mask = Image.open(golden .. "gray.jpg")
    local small = image:resize { mask.width, mask.height }
    local target = image:copy()
    target:paste(small, { 20, -5 }, mask)
    is("RGB 45x37 3ba12d33", target)
    target = image:copy()
    target:paste({ 1, 2, 3 }, { 40, 30, 50, 60 })
    is("RGB 45x37 f98e93cd", target)
    target = image:copy()
    target:paste(small, { -3, 25 })
    is("RGB 45x37 6c4c942b", target)
    fails("images do not match", target.paste, target, small, { 0, 0 }, image)
    fails("size mismatch", Image.merge, "LA", { mask, bands[1] })
    fails("mode 'LA' needs a list of 2 bands", Image.merge, "LA", { mask })
    fails("The image has no channel", image.getchannel, image, "A")
  end)

  it("counts", function()
    local sum = 0
    for i, count in ipairs(image:histogram()) do sum = sum + (i - 1) * count end
    assert.equal(910995, sum % 1000003)
    assert.same({ { 14, 243 }, { 6, 244 }, { 0, 244 } }, image:getextrema())
    local spot = Image.new("L", { 9, 6 })
    spot:paste(1, { 5, 2, 9, 5 })
    assert.same({ 5, 2, 9, 5 }, spot:getbbox())
    assert.is_nil(Image.new("RGB", { 2, 2 }):getbbox())
  end)
end)

describe("vision.io", function()
  it("decodes every kind of file as torchvision", function()
    local count = 0
    for _, v in ipairs(values) do
      if v.reader == "io" then
        count = count + 1
        local ok, t = pcall(vio.decode_image, golden .. v.name, v.mode == "exif" and "RGB" or v.mode,
          { apply_exif_orientation = v.mode == "exif" })
        assert.equal(v.kind ~= "error", ok, v.name .. " " .. v.mode .. " " .. tostring(t))
        if ok then
          assert.equal(v.shape, sizes(t), v.name)
          assert.equal(v.kind == "uint16" and torch.int32 or torch.uint8, t.dtype)
          assert.equal(v.crc, crc(t, v.kind == "uint16"), v.name .. " " .. v.mode)
        end
      end
    end
    assert.truthy(count > 450)
  end)

  it("has modes by number and by name", function()
    local path, M = golden .. "rgb_420.jpg", vio.ImageReadMode
    local want = vio.read_image(path, M.GRAY)
    assert.equal("1x37x45", sizes(want))
    for _, mode in ipairs { 1, "GRAY", "gray" } do assert.is_true(torch.equal(want, vio.read_image(path, mode))) end
    assert.is_true(torch.equal(vio.decode_png(golden .. "rgb8.png", "RGBA"), vio.decode_png(golden .. "rgb8.png", M.RGB_ALPHA)))
    fails("mode must be one of ImageReadMode", vio.read_image, path, "CMYK")
    fails("mode must be one of ImageReadMode", vio.read_image, path, 9)
    fails("The provided mode is not supported for JPEG files", vio.read_image, path, M.RGB_ALPHA)
  end)

  it("decodes one format by its name", function()
    local jpeg = vio.read_file(golden .. "rgb_420.jpg")
    assert.equal("3x37x45", sizes(vio.decode_jpeg(jpeg)))
    local list = vio.decode_jpeg { jpeg, vio.read_file(golden .. "gray.jpg") }
    assert.equal("1x22x31", sizes(list[2]))
    assert.equal("3x10x12", sizes(vio.decode_jpeg(jpeg, { scale = 4 })))
    assert.equal("3x27x34", sizes(vio.decode_webp(golden .. "lossy.webp")))
    assert.equal("3x3x12x16", sizes(vio.decode_gif(vio.read_file(golden .. "animated.gif"))))
    fails("Content is not png! (it is jpeg)", vio.decode_png, jpeg)
    fails("Content is not jpeg! (it is of no known format)", vio.decode_jpeg, golden .. "nonsense.jpg")
    fails("Input list must contain at least one element", vio.decode_jpeg, { input = {} })
    fails("device must be cpu", vio.decode_jpeg, jpeg, { device = "cuda" })
    fails("must be a uint8 tensor of 1 dim", vio.decode_image, torch.zeros(3))
    fails("input must be a path or a uint8 tensor", vio.decode_image, 3)
    fails("expected a non empty file", vio.read_file, golden .. "empty.png")
    fails("the picture is too large: 60000 x 60000 pixels", vio.read_image, golden .. "huge.png")
    fails("Animated webp files are not supported", vio.decode_webp, golden .. "animated.webp")
  end)

  it("encodes", function()
    local rgb = vio.read_image(golden .. "rgb_444.jpg")
    for _, count in ipairs { 1, 2, 3, 4 } do
      local t = torch.cat({ rgb, rgb }, 0):narrow(0, 0, count)
      for _, level in ipairs { 0, 6, 9 } do
        assert.is_true(torch.equal(t, vio.decode_png(vio.encode_png(t, level))))
      end
    end
    assert.is_true(torch.equal(rgb, vio.decode_webp(vio.encode_webp(rgb, { lossless = true }))))
    -- Both give what libjpeg gives; torchvision's own file, by its checksum.
    local coarse, fine = vio.encode_jpeg(rgb, 10), vio.encode_jpeg(rgb, 95)
    assert.truthy(coarse:numel() < fine:numel())
    assert.truthy((vio.decode_jpeg(fine):int() - rgb:int()):abs():float():mean():item() < 20)
    assert.equal(2, #vio.encode_jpeg { rgb, rgb })
    local path = os.tmpname()
    vio.write_jpeg(rgb, path, 95)
    assert.is_true(torch.equal(fine, vio.read_file(path)))
    vio.write_png(rgb[0], path, 3)
    assert.is_true(torch.equal(rgb:narrow(0, 0, 1), vio.read_image(path)))
    vio.write_file(path, torch.tensor({ 1, 2, 3 }, { dtype = torch.uint8 }))
    assert.same({ 1, 2, 3 }, vio.read_file(path):tolist())
    os.remove(path)
    fails("The number of channels should be 1 or 3, got: 2", vio.encode_jpeg, rgb:narrow(0, 0, 2))
    fails("Input tensor dtype should be uint8", vio.encode_png, rgb:float())
    fails("Input data should be a 3-dimensional tensor", vio.encode_png, rgb:unsqueeze(0))
    fails("Image quality should be a positive number between 1 and 100, got 0", vio.encode_jpeg, rgb, 0)
    fails("Compression level should be between 0 and 9, got 10", vio.encode_png, rgb, 10)
    fails("no picture of", vio.encode_png, torch.zeros(3, 0, 4, { dtype = torch.uint8 }))
    fails("data must be a uint8 tensor", vio.write_file, path, rgb)
  end)
end)

describe("the box of a picture", function()
  it("has the pixels of the whole", function()
    local seed = 11
    local function random(n)
      seed = (seed * 1103515245 + 12345) % (1 << 31)
      return (seed >> 8) % n
    end
    for _, name in ipairs(names) do
      local bytes = core.read_file(golden .. name, "test")
      local scales = name:find "%.jpg$" and { 1, 2, 8 } or { 1 }
      for _, scale in ipairs(scales) do
        local ok, whole = pcall(core.image_decode, bytes, { scale = scale, mode = "RGB" }, "test")
        for _ = 1, ok and 12 or 0 do
          local height, width = 1 + random(whole:size(0)), 1 + random(whole:size(1))
          local top, left = random(whole:size(0) - height + 1), random(whole:size(1) - width + 1)
          local part = core.image_decode(bytes,
            { scale = scale, mode = "RGB", top = top, left = left, height = height, width = width }, "test")
          assert.is_true(torch.equal(whole:narrow(0, top, height):narrow(1, left, width), part), name)
        end
      end
    end
  end)

  it("is cut after turning", function()
    local bytes = core.read_file(golden .. "exif6.jpg", "test")
    local whole = core.image_decode(bytes, { orient = true }, "test")
    local part = core.image_decode(bytes, { orient = true, top = 15, left = 2, height = 5, width = 7 }, "test")
    assert.is_true(torch.equal(whole:narrow(0, 15, 5):narrow(1, 2, 7), part))
  end)

  it("must lie inside", function()
    for _, name in ipairs { "rgb_420.jpg", "rgb8.png" } do
      local bytes = core.read_file(golden .. name, "test")
      fails("lies outside the picture", core.image_decode, bytes, { top = 30, left = 0, height = 30, width = 2 }, "test")
      fails("lies outside the picture", core.image_decode, bytes, { top = 0, left = -1, height = 2, width = 2 }, "test")
    end
  end)
end)

describe("a damaged picture", function()
  it("gives an error where a GIF's frame has no pixels, or more than its canvas may", function()
    local file = assert(io.open(golden .. "plain.gif", "rb"))
    local bytes = file:read "a"
    file:close()
    local at = bytes:find(",\0\0\0\0" .. ("<I2I2"):pack(37, 25), 1, true) -- the frame's descriptor
    local function with_size(width, height) return bytes:sub(1, at + 4) .. ("<I2I2"):pack(width, height) .. bytes:sub(at + 9) end
    for _, rules in ipairs { true, false } do
      fails("a frame has no pixels", core.image_decode, with_size(0, 25), { io = rules }, "test")
      fails("a frame has no pixels", core.image_decode, with_size(37, 0), { io = rules }, "test")
      fails("too large", core.image_decode, with_size(65535, 65535), { io = rules }, "test")
      fails("is truncated", core.image_decode, with_size(370, 250), { io = rules }, "test")
    end
    local animation = assert(core.read_file(golden .. "animated.gif", "test"))
    fails("a box cannot be cut out of an animation", core.image_decode, animation, { io = true, height = 2, width = 2 }, "test")
  end)

  it("gives pixels or an error, wherever it was cut or changed", function()
    local seed = 3
    local function random(n)
      seed = (seed * 1103515245 + 12345) % (1 << 31)
      return (seed >> 8) % n
    end
    local decoded, refused = 0, 0
    for _, name in ipairs(names) do
      local file = assert(io.open(golden .. name, "rb"))
      local bytes = file:read "a"
      file:close()
      for _ = 1, #bytes > 0 and 25 or 0 do
        local changed = bytes
        if random(3) == 0 then changed = changed:sub(1, random(#changed)) end
        for _ = 1, random(4) do
          local at = random(#changed + 1)
          changed = changed:sub(1, at) .. string.char(random(256)) .. changed:sub(at + 2)
        end
        for _, rules in ipairs { true, false } do
          -- Small limits, so that a changed header costs no time.
          local ok, message = pcall(core.image_decode, changed, { io = rules, max_pixels = 100000, orient = true }, "test")
          if ok then decoded = decoded + 1 else refused = refused + 1 end
          assert.truthy(ok or type(message) == "string")
        end
        pcall(core.image_info, changed, "x", "test")
      end
    end
    assert.truthy(decoded > 300 and refused > 300, decoded .. " " .. refused)
  end)
end)
