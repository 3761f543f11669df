-- torch.hub: files from the web into a cache, with their checksums. Source: torch.hub.
--
-- Where files go: set_dir(), else $TORCH_HOME/hub, else $XDG_CACHE_HOME/torch/hub, else ~/.cache/torch/hub. Weights lie in
-- `checkpoints` below it. $LAMPAD_MIRROR replaces the hosts: a URL https://host/path is then read from $LAMPAD_MIRROR/host/path,
-- where the variable is an http(s) address or a folder. Proxies: http_proxy, https_proxy, no_proxy.
local core = require "lampad.core"
local args = require "lampad.args"

local hub = {}
local chosen_dir
local MAX_TRIES = 4 -- of one download whose connection breaks; each continues the one before

-- --- folders --------------------------------------------------------------------------------------------
local function expand(path)
  if path:sub(1, 1) == "~" and (path == "~" or path:sub(2, 2) == "/") then
    return (os.getenv "HOME" or ".") .. path:sub(2)
  end
  return path
end

--- get_dir(): the folder of the cache.
function hub.get_dir()
  if chosen_dir then return chosen_dir end
  local cache = os.getenv "XDG_CACHE_HOME"
  if not cache or cache == "" then cache = "~/.cache" end
  local home = os.getenv "TORCH_HOME"
  if not home or home == "" then home = cache .. "/torch" end
  return expand(home) .. "/hub"
end

local set_dir_spec = args "set_dir(str d)"

--- set_dir(d): the folder of the cache from now on.
function hub.set_dir(...) chosen_dir = expand(set_dir_spec(...)) end

-- --- one file -------------------------------------------------------------------------------------------
local function exists(path) return core.file_kind(path) ~= nil end

local function make_folder_of(what, path)
  local folder = path:match "^(.*)/[^/]*$"
  if not folder or folder == "" then return end
  local ok, message = core.make_folders(folder)
  if not ok then args.fail(what, "%s", message) end
end

-- What the mirror variable makes of a URL: a URL, or nil and the path of a file.
local function mirrored(url)
  local mirror = os.getenv "LAMPAD_MIRROR"
  if not mirror or mirror == "" then return url end
  local rest = url:match "^%w+://(.*)$" or url
  mirror = mirror:gsub("/+$", "")
  if mirror:find "^https?://" then return mirror .. "/" .. rest end
  return nil, expand(mirror) .. "/" .. rest:gsub("[?#].*$", "")
end

-- A progress function and what ends its bar.
local function bar_of(show)
  if not show then return nil, function() end end
  local bar
  local function report(done, total)
    if not bar and (total or done > 0) then
      bar = require("lampad.tqdm").Bar(nil, { total = total, unit = "B", unit_scale = true, unit_divisor = 1024, initial = done })
    end
    if bar and done > bar.n then bar:update(done - bar.n) end
  end
  return report, function()
    if bar then bar:close() end
  end
end

-- The expected and the found digits when the file's checksum is another; digest: {kind, digits}.
local function mismatch(what, path, digest)
  if not digest then return nil end
  local found, message = core.file_digest(path, digest[1])
  if not found then args.fail(what, "%s", message) end
  local wanted = digest[2]:lower()
  if found:sub(1, #wanted) ~= wanted then return wanted, found end
end

local function advice(url, path)
  local cache = hub.get_dir()
  local moved = path:sub(1, #cache) == cache and " TORCH_HOME moves the cache to another folder." or ""
  return ("Without a network: get %s elsewhere and put it at %s, or set LAMPAD_MIRROR to the address or folder of a mirror "
    .. "that has it as %s."):format(url:match "([^/]+)$" or url, path, (url:gsub("^%w+://", ""))) .. moved
end

-- Downloads to `part`, going on where a broken connection ended. True when `path` is there already after all.
local function fetch(what, url, part, path, show)
  local address, file = mirrored(url)
  if file then
    local bytes = exists(file) and core.read_file(file, what)
    if not bytes then args.fail(what, "the mirror has no %s. %s", file, advice(url, path)) end
    local ok, message = core.atomic_write(part, core.tensor_to_bytes(bytes))
    if not ok then args.fail(what, "%s", message) end
    return false
  end
  local report, close = bar_of(show)
  local message
  for try = 1, MAX_TRIES do
    local _, before = core.file_kind(part)
    local ok, resumed, was_ready, status = pcall(core.fetch, address, part, path, report)
    if not ok then
      close()
      error(resumed, 0)
    end
    if resumed then
      close()
      return was_ready
    end
    message = was_ready -- on failure: nil, message, status
    local _, after = core.file_kind(part)
    local came = (after or 0) > (before or 0)
    if not came or status >= 400 or try == MAX_TRIES then break end
  end
  close()
  args.fail(what, "%s. %s", message, advice(url, path))
end

--- What download_url_to_file and the data sets share: path, of the checksum {"sha256" | "md5", digits} or nil, from the URL. With
--- a checksum the part of a download that was cut short, path .. ".part", is continued.
function hub.download(what, url, path, digest, show)
  if not url:find "^https?://" then
    args.fail(what, "only http and https addresses can be downloaded, got %s", url)
  end
  make_folder_of(what, path)
  local part = path .. ".part"
  if not digest then os.remove(part) end -- nobody could tell whether it is the beginning of the same file
  for try = 1, 2 do
    local is_continued = exists(part)
    if fetch(what, url, part, path, show) then return end
    local wanted, found = mismatch(what, part, digest)
    if not wanted then break end
    os.remove(part)
    -- A part of another version gives nonsense: once more from the start.
    if not is_continued or try == 2 then
      args.fail(what, "invalid hash value of %s (expected \"%s\", got \"%s\"); the file was removed", url, wanted, found)
    end
  end
  local ok, message = os.rename(part, path)
  if not ok and not exists(path) then args.fail(what, "%s", message) end
end

local download_spec = args "download_url_to_file(str url, str dst, str hash_prefix=nil, bool progress=true)"

--- download_url_to_file(url, dst, hash_prefix, progress = true): writes the file whole or not at all. hash_prefix: the first
--- digits of its SHA-256; another is an error. With one, a download that was cut short is continued by the next call.
function hub.download_url_to_file(...)
  local url, dst, hash_prefix, progress = download_spec(...)
  if exists(dst) then os.remove(dst) end
  hub.download("download_url_to_file", url, expand(dst), hash_prefix and { "sha256", hash_prefix }, progress)
end

local load_spec = args("load_state_dict_from_url(str url, str model_dir=nil, any map_location=nil, bool progress=true, "
  .. "bool check_hash=false, str file_name=nil, any weights_only=nil)")

-- "resnet18-5c106cde.pth" -> "5c106cde".
local function hash_in(name) return name:match "%-([a-f0-9]*)%." end

-- Weights that were zipped as a file, as some were before PyTorch's own format was zip: the archive's only member, which is
-- unpacked beside it.
local function load_zipped(path, map_location)
  local folder = path .. ".unpacked"
  local ok, message = core.unpack_archive(path, folder)
  local _, files = core.list_folder(folder)
  if not ok or type(files) ~= "table" or #files ~= 1 then
    args.fail("load_state_dict_from_url", "%s", message or path .. " is a zip archive, but not of one file with weights")
  end
  return core.torch.load(folder .. "/" .. files[1], { map_location = map_location })
end

--- load_state_dict_from_url(url, model_dir, map_location, progress, check_hash, file_name): torch.load of the file, which is
--- downloaded into model_dir (get_dir() .. "/checkpoints") unless it is there. check_hash: its name is NAME-DIGITS.EXT, and the
--- digits begin its SHA-256. Errors name the file and where to put it when there is no network.
function hub.load_state_dict_from_url(...)
  local url, model_dir, map_location, progress, check_hash, file_name = load_spec(...)
  local name = file_name or url:gsub("[?#].*$", ""):match "([^/]+)$"
  if not name then args.fail("load_state_dict_from_url", "the address %s names no file", url) end
  local path = expand(model_dir or hub.get_dir() .. "/checkpoints") .. "/" .. name
  if not exists(path) then
    if progress then io.stderr:write(('Downloading: "%s" to %s\n'):format(url, path)) end
    local digits = check_hash and hash_in(name)
    if check_hash and not digits then
      args.fail("load_state_dict_from_url", "check_hash = true needs a file name as resnet18-5c106cde.pth, got %s", name)
    end
    hub.download("load_state_dict_from_url", url, path, digits and { "sha256", digits } or nil, progress)
  end
  local ok, value = pcall(core.torch.load, path, { map_location = map_location })
  if ok then return value end
  if not tostring(value):find("the zip archive is no PyTorch file", 1, true) then error(value, 0) end
  return load_zipped(path, map_location)
end

-- --- repositories of Python code --------------------------------------------------------------------------
local function refuse(name)
  return function()
    args.fail("hub." .. name, "torch.hub.%s runs the Python code of a repository, and there is no Python here; "
      .. "load_state_dict_from_url gets weights, vision.models has the networks of torchvision", name)
  end
end
hub.load, hub.list, hub.help = refuse "load", refuse "list", refuse "help"

return hub
