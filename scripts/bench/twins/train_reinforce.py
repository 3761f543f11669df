"""scripts/train_reinforce.lua in PyTorch: same policy, seed, draws."""
import math

import common
import torch
import torch.nn as nn
import torch.nn.functional as F

options = common.options(
    [("updates", 60), ("episodes", 8), ("hidden", 64), ("lr", 1e-2), ("discount", 0.99)], {"updates": 4, "episodes": 4, "hidden": 16})


class CartPole:
    gravity, cart, pole, half_length, force, seconds, longest = 9.8, 1.0, 0.1, 0.5, 10.0, 0.02, 500

    def __init__(self, generator):
        self.state = [v * 0.1 - 0.05 for v in torch.rand(4, generator=generator).tolist()]
        self.steps = 0

    def push(self, right):
        x, v, angle, spin = self.state
        mass = self.cart + self.pole
        force = self.force if right else -self.force
        sine, cosine = math.sin(angle), math.cos(angle)
        shared = (force + self.pole * self.half_length * spin * spin * sine) / mass
        turn = (self.gravity * sine - cosine * shared) / (self.half_length * (4 / 3 - self.pole * cosine * cosine / mass))
        push = shared - self.pole * self.half_length * turn * cosine / mass
        t = self.seconds
        self.state = [x + t * v, v + t * push, angle + t * spin, spin + t * turn]
        self.steps += 1
        return abs(self.state[0]) > 2.4 or abs(self.state[2]) > math.radians(12) or self.steps >= self.longest


policy = nn.Sequential(nn.Linear(4, options.hidden), nn.Tanh(), nn.Linear(options.hidden, 1))
optimizer = torch.optim.Adam(policy.parameters(), lr=options.lr)


def play(env, decide):
    states, pushes = [], []
    while True:
        states.append(env.state)
        right = decide(policy(torch.tensor(env.state)).item())
        pushes.append(1.0 if right else 0.0)
        if env.push(right):
            return states, pushes


def at_random(logit):
    return torch.rand(1).item() < 1 / (1 + math.exp(-logit))


def step(_):
    states, pushes, returns = [], [], []
    with torch.no_grad():
        for _ in range(options.episodes):
            s, p = play(CartPole(torch.default_generator), at_random)
            value, gains = 0.0, []
            for _ in s:
                value = 1 + options.discount * value
                gains.append(value)
            states += s
            pushes += p
            returns += gains[::-1]
    gain = torch.tensor(returns)
    advantage = (gain - gain.mean()) / (gain.std() + 1e-8)
    logits = policy(torch.tensor(states)).squeeze(1)
    loss = F.binary_cross_entropy_with_logits(logits, torch.tensor(pushes), weight=advantage)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return {"length": len(states) / options.episodes, "loss": loss.item()}


common.loop("update", options.updates, step)
generator = torch.Generator().manual_seed(77)
with torch.no_grad():
    total = sum(len(play(CartPole(generator), lambda logit: logit > 0)[0]) for _ in range(20))
common.final("mean length", total / 20)
