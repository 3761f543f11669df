-- nn.utils.stateless: the older place of torch.func.functional_call.
return { functional_call = require("lampad.func.modules").functional_call }
