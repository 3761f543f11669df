"""torchvision's times for the networks of zoo.lua, which tells what is measured.   python3 scripts/bench/zoo.py [PATTERN]"""
import os
import sys

import torch
import torch.nn.functional as F
from torchvision import models

from nets import measure

pattern = sys.argv[1] if len(sys.argv) > 1 else ""
torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "2")))


def training(name, batch):
    def make():
        net = getattr(models, name)().train()
        x, y = torch.randn(batch, 3, 224, 224), torch.randint(0, 1000, (batch,))
        optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9)

        def step():
            optimizer.zero_grad()
            F.cross_entropy(net(x), y).backward()
            optimizer.step()
        return step
    return f"{name}, training step, batch {batch}", make


def inference(name):
    def make():
        net = getattr(models, name)().eval()
        x = torch.randn(1, 3, 224, 224)

        def run():
            with torch.no_grad():
                net(x)
        return run
    return f"{name}, inference, batch 1", make


rows = [training("vgg16", 16), training("resnet18", 16), training("alexnet", 32), training("mobilenet_v2", 16),
        training("efficientnet_b0", 16), inference("resnet50"), inference("vgg16")]

measure(rows, pattern, 2, 1)
