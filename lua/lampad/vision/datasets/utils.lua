-- vision.datasets.utils: files of data sets: checksums, downloads, archives, lists. Source: torchvision.datasets.utils.
local core = require "lampad.core"
local args = require "lampad.args"
local text = require "lampad.text"

local utils = {}

-- --- small helpers of the data sets ---------------------------------------------------------------------
--- Whether a comes before b by bytes, which is Python's order of strings in every locale.
function utils.by_bytes(a, b)
  for i = 1, math.min(#a, #b) do
    local x, y = a:byte(i), b:byte(i)
    if x ~= y then return x < y end
  end
  return #a < #b
end

function utils.sorted_keys(map)
  local keys = {}
  for key in pairs(map) do keys[#keys + 1] = key end
  table.sort(keys, utils.by_bytes)
  return keys
end

--- The names of a list -> their positions from 0.
function utils.positions(names)
  local result = {}
  for i, name in ipairs(names) do result[name] = i - 1 end
  return result
end

function utils.is_file(path) return core.file_kind(path) == "file" end
function utils.is_folder(path) return core.file_kind(path) == "folder" end

--- "'a', 'b'".
function utils.iterable_to_str(list)
  local parts = {}
  for i, item in ipairs(list) do parts[i] = "'" .. tostring(item) .. "'" end
  return table.concat(parts, ", ")
end

--- verify_str_arg(value, arg, valid_values, custom_msg, what): the value, or an error in torchvision's words.
function utils.verify_str_arg(value, arg, valid_values, custom_msg, what)
  if type(value) ~= "string" then
    args.fail(what, "Expected type str%s, but got %s.", arg and " for argument " .. arg or "", text.describe(value))
  end
  for _, valid in ipairs(valid_values or { value }) do
    if valid == value then return value end
  end
  args.fail(what, "%s", custom_msg or ("Unknown value '%s' for argument %s. Valid values are {%s}."):format(value, arg,
    utils.iterable_to_str(valid_values)))
end

--- All of a file as a string.
function utils.read_text(what, path)
  local file, message = io.open(path, "rb")
  local bytes = file and file:read "a"
  if file then file:close() end
  if not bytes then args.fail(what, "cannot read %s", message or path) end
  return bytes
end

--- The value of a JSON file.
function utils.read_json(what, path)
  local value, message = require("lampad.json").decode(utils.read_text(what, path))
  if value == nil then args.fail(what, "%s is no JSON file: %s", path, message) end
  return value
end

--- The lines of a file, without their ends.
function utils.read_lines(what, path)
  local lines = {}
  for line in utils.read_text(what, path):gmatch "([^\n]*)\n?" do lines[#lines + 1] = line:gsub("\r$", "") end
  if lines[#lines] == "" then lines[#lines] = nil end
  return lines
end

--- The names of what is in a folder, sorted: folders, files.
function utils.list(what, path)
  local folders, files = core.list_folder(path)
  if not folders then args.fail(what, "%s", files) end
  return folders, files
end

local function expand(path)
  if path:sub(1, 1) ~= "~" or (path ~= "~" and path:sub(2, 2) ~= "/") then return path end
  return (os.getenv "HOME" or ".") .. path:sub(2)
end

local function joined(root, name) return (root:gsub("(.)/+$", "%1")) .. "/" .. name end

-- --- checksums ------------------------------------------------------------------------------------------
--- calculate_md5(fpath): hexadecimal digits.
function utils.calculate_md5(fpath)
  local digits, message = core.file_digest(fpath, "md5")
  if not digits then args.fail("calculate_md5", "%s", message) end
  return digits
end

--- check_md5(fpath, md5).
function utils.check_md5(fpath, md5) return utils.calculate_md5(fpath) == md5 end

--- check_integrity(fpath, md5): whether the file is there and, when md5 is given, has that checksum.
function utils.check_integrity(fpath, md5)
  if not utils.is_file(fpath) then return false end
  return md5 == nil or utils.check_md5(fpath, md5)
end

-- --- lists ----------------------------------------------------------------------------------------------
--- list_dir(root, prefix = false): the folders in it, sorted; prefix: with the path in front.
function utils.list_dir(root, prefix)
  root = expand(root)
  local folders = utils.list("list_dir", root)
  for i, name in ipairs(prefix and folders or {}) do folders[i] = joined(root, name) end
  return folders
end

--- list_files(root, suffix, prefix = false): the files whose names end with suffix (a string or a list), sorted.
function utils.list_files(root, suffix, prefix)
  root = expand(root)
  local endings = type(suffix) == "table" and suffix or { suffix }
  local result = {}
  for _, name in ipairs((select(2, utils.list("list_files", root)))) do
    for _, ending in ipairs(endings) do
      if ending == "" or name:sub(-#ending) == ending then
        result[#result + 1] = prefix and joined(root, name) or name
        break
      end
    end
  end
  return result
end

-- --- downloads ------------------------------------------------------------------------------------------
local download_spec = args "download_url(str url, str root, str filename=nil, str md5=nil, *, bool progress=true)"

--- download_url(url, root, filename, md5): the file into the folder, unless it is there with that checksum. A download that
--- was cut short is continued when md5 is given.
function utils.download_url(...)
  local url, root, filename, md5, progress = download_spec(...)
  filename = filename or url:gsub("[?#].*$", ""):match "([^/]+)$"
  if not filename then args.fail("download_url", "the address %s names no file", url) end
  local path = joined(expand(root), filename)
  if utils.check_integrity(path, md5) then return path end
  os.remove(path)
  require("lampad.hub").download("download_url", url, path, md5 and { "md5", md5 } or nil, progress)
  return path
end

--- download_file_from_google_drive(file_id, root, filename, md5).
function utils.download_file_from_google_drive(file_id, root, filename, md5)
  return utils.download_url("https://drive.usercontent.google.com/download?export=download&confirm=t&id=" .. file_id, root,
    filename or file_id, md5)
end

-- --- archives -------------------------------------------------------------------------------------------
local packings = { gz = true, bz2 = true, xz = true }
local archives = { tar = true, zip = true, tgz = true, tbz = true, tbz2 = true }

-- "a.tar.gz" -> true; "a.gz" -> false, "a".
local function is_archive(path)
  local name = path:match "([^/]+)$" or path
  local inner, last = name:match "^(.*)%.(%w+)$"
  if not last then
    args.fail("extract_archive", "File '%s' has no suffixes that could be used to detect the archive type and compression.", path)
  end
  if archives[last] then return true end
  if packings[last] then
    if archives[inner:match "%.(%w+)$" or ""] then return true end
    return false, inner
  end
  args.fail("extract_archive", "Unknown compression or archive type: '.%s'. Known suffixes are: .bz2, .gz, .tar, .tbz, .tbz2, "
    .. ".tgz, .xz, .zip", last)
end

local extract_spec = args "extract_archive(str from_path, str to_path=nil, bool remove_finished=false)"

--- extract_archive(from_path, to_path, remove_finished = false): a .tar (.gz, .bz2, .xz, .tgz), .zip, or one packed file (.gz,
--- .bz2, .xz), into the folder to_path, by default where it lies. Members that would leave the folder are an error.
function utils.extract_archive(...)
  local from, to, remove_finished = extract_spec(...)
  to = to or from:match "^(.*)/[^/]*$" or "."
  local whole, name = is_archive(from)
  local ok, message
  if whole then
    ok, message = core.unpack_archive(from, to)
  else
    ok, message = core.make_folders(to)
    if ok then ok, message = core.unpack_file(from, joined(to, name)) end
  end
  if not ok then args.fail("extract_archive", "%s", message) end
  if remove_finished then os.remove(from) end
  return to
end

local both_spec = args("download_and_extract_archive(str url, str download_root, str extract_root=nil, str filename=nil, "
  .. "str md5=nil, bool remove_finished=false)")

--- download_and_extract_archive(url, download_root, extract_root, filename, md5, remove_finished = false).
function utils.download_and_extract_archive(...)
  local url, download_root, extract_root, filename, md5, remove_finished = both_spec(...)
  local path = utils.download_url(url, download_root, filename, md5)
  utils.extract_archive(path, extract_root and expand(extract_root) or expand(download_root), remove_finished)
end

-- --- what a data set says that is not there -----------------------------------------------------------------
--- Raises: the data set is not at its root; `files` says what should be there.
function utils.not_found(self, files)
  args.fail(self.__name, "Dataset not found or corrupted in %s. You can use download = true to download it; without a network put %s there",
    self.root, files)
end

--- Removes a folder and all in it.
function utils.remove_tree(path)
  local all = core.all_folders(path)
  for i = #all, 1, -1 do
    local _, files = core.list_folder(all[i])
    for _, name in ipairs(type(files) == "table" and files or {}) do os.remove(all[i] .. "/" .. name) end
  end
  -- The longest first: those below before those above.
  table.sort(all, function(a, b) return #a > #b end)
  for _, folder in ipairs(all) do os.remove(folder) end
end

return utils
