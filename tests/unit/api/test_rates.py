"""A workspace may send so many requests a second, and a burst of two seconds' worth."""

from penstock.api.rates import RateLimiter


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def test_a_burst_is_let_through_and_then_the_rate_holds():
    clock = Clock()
    rates = RateLimiter(clock)
    assert [rates.take("ws", per_s=5) for _ in range(10)] == [0] * 10
    assert 0 < rates.take("ws", per_s=5) <= 0.2
    clock.now = 0.2
    assert rates.take("ws", per_s=5) == 0
    assert rates.take("ws", per_s=5) > 0


def test_workspaces_do_not_take_from_each_other():
    rates = RateLimiter(Clock())
    while rates.take("greedy", per_s=1) == 0:
        pass
    assert rates.take("modest", per_s=1) == 0


def test_an_idle_workspace_gathers_no_more_than_a_burst():
    clock = Clock()
    rates = RateLimiter(clock)
    rates.take("ws", per_s=2)
    clock.now = 1_000
    assert [rates.take("ws", per_s=2) > 0 for _ in range(6)] == [False] * 4 + [True] * 2
