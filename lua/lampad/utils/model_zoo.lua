-- torch.utils.model_zoo: the old name of torch.hub's weights.
local hub = require "lampad.hub"

--- load_url(url, model_dir, map_location, progress, check_hash, file_name): torch.hub.load_state_dict_from_url.
return { load_url = hub.load_state_dict_from_url }
