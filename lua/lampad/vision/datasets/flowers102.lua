-- vision.datasets.Flowers102: flowers of 102 kinds. Source: Nilsback and Zisserman (2008); torchvision.datasets.Flowers102.
local args = require "lampad.args"
local utils = require "lampad.vision.datasets.utils"
local VisionDataset = require("lampad.vision.datasets.vision_dataset").VisionDataset

local Flowers102 = VisionDataset:extend "Flowers102"
local spec = args("Flowers102(str root, str split='train', any transform=nil, any target_transform=nil, bool download=false, "
  .. "any loader=nil)")
local base = "https://www.robots.ox.ac.uk/~vgg/data/flowers/102/"
Flowers102.file_dict = {
  image = { "102flowers.tgz", "52808999861908f626f3c1f4e79d11fa" }, label = { "imagelabels.mat", "e0620be6f572b9609742df49c70aed4d" },
  setid = { "setid.mat", "a5357ecc9cb78c4bef273ce3793fc85c" },
}
Flowers102.base_folder = "flowers-102"
local variables = { train = "trnid", val = "valid", test = "tstid" }

Flowers102.classes = {
  "pink primrose", "hard-leaved pocket orchid", "canterbury bells", "sweet pea", "english marigold", "tiger lily",
  "moon orchid", "bird of paradise", "monkshood", "globe thistle", "snapdragon", "colt's foot", "king protea",
  "spear thistle", "yellow iris", "globe-flower", "purple coneflower", "peruvian lily", "balloon flower",
  "giant white arum lily", "fire lily", "pincushion flower", "fritillary", "red ginger", "grape hyacinth",
  "corn poppy", "prince of wales feathers", "stemless gentian", "artichoke", "sweet william", "carnation",
  "garden phlox", "love in the mist", "mexican aster", "alpine sea holly", "ruby-lipped cattleya", "cape flower",
  "great masterwort", "siam tulip", "lenten rose", "barbeton daisy", "daffodil", "sword lily", "poinsettia",
  "bolero deep blue", "wallflower", "marigold", "buttercup", "oxeye daisy", "common dandelion", "petunia",
  "wild pansy", "primula", "sunflower", "pelargonium", "bishop of llandaff", "gaura", "geranium", "orange dahlia",
  "pink-yellow dahlia?", "cautleya spicata", "japanese anemone", "black-eyed susan", "silverbush",
  "californian poppy", "osteospermum", "spring crocus", "bearded iris", "windflower", "tree poppy", "gazania",
  "azalea", "water lily", "rose", "thorn apple", "morning glory", "passion flower", "lotus", "toad lily", "anthurium",
  "frangipani", "clematis", "hibiscus", "columbine", "desert-rose", "tree mallow", "magnolia", "cyclamen",
  "watercress", "canna lily", "hippeastrum", "bee balm", "ball moss", "foxglove", "bougainvillea", "camellia",
  "mallow", "mexican petunia", "bromelia", "blanket flower", "trumpet creeper", "blackberry lily",
}

--- Flowers102(root, split = "train", transform, target_transform, download = false, loader): root/flowers-102. split: train, val or
--- test. Item: image, label from 0.
function Flowers102:init(...)
  local root, split, transform, target_transform, download, loader = spec(...)
  self:_begin(root, nil, transform, target_transform)
  self._split = utils.verify_str_arg(split, "split", { "train", "val", "test" }, nil, "Flowers102")
  if download then self:download() end
  if not self:_check_integrity() then
    utils.not_found(self, "102flowers.tgz, unpacked, imagelabels.mat and setid.mat into " .. self.base_folder)
  end
  local mat = require "lampad.vision.datasets.mat"
  local ids = mat.variable(self:_path(self.base_folder, "setid.mat"), variables[split], "Flowers102"):flatten():tolist()
  local labels = mat.variable(self:_path(self.base_folder, "imagelabels.mat"), "labels", "Flowers102"):flatten():tolist()
  self._labels, self._image_files = {}, {}
  for i, id in ipairs(ids) do
    id = math.tointeger(id)
    local label = labels[id]
    if not label then args.fail("Flowers102", "setid.mat names picture %s, which has no label", tostring(id)) end
    self._labels[i] = math.tointeger(label) - 1
    self._image_files[i] = self:_path(self.base_folder, "jpg", ("image_%05d.jpg"):format(id))
  end
  self.class_to_idx = utils.positions(self.classes)
  self.loader = loader or require("lampad.vision.datasets.folder").default_loader
end

function Flowers102:_check_integrity()
  if not utils.is_folder(self:_path(self.base_folder, "jpg")) then return false end
  for _, kind in ipairs { "label", "setid" } do
    local name, md5 = table.unpack(self.file_dict[kind])
    if not utils.check_integrity(self:_path(self.base_folder, name), md5) then return false end
  end
  return true
end

function Flowers102:download()
  if self:_check_integrity() then return end
  local folder, files = self:_path(self.base_folder), self.file_dict
  utils.download_and_extract_archive(base .. files.image[1], folder, { md5 = files.image[2] })
  for _, kind in ipairs { "label", "setid" } do
    utils.download_url(base .. files[kind][1], folder, { md5 = files[kind][2] })
  end
end

function Flowers102:len() return #self._image_files end

function Flowers102:getitem(i)
  local at = self:_position(i) + 1
  return self:_finish(self.loader(self._image_files[at]), self._labels[at])
end

function Flowers102:extra_repr() return "split=" .. self._split end

return { Flowers102 = Flowers102 }
