"""Who is told nothing more."""

from __future__ import annotations

from transport.sip.guard import Guard, Misdeed


def _guard(**changes: float) -> Guard:
    return Guard(3, 60.0, 100.0, 300.0, ["192.0.2.0/24"]) if not changes else Guard(**changes)  # type: ignore[arg-type]


def test_wrong_passwords_lead_to_a_ban_that_ends_and_grows() -> None:
    """Lost otherwise: a scanner tries passwords for ever, or a mistake locks an office out for good."""
    guard = _guard()
    assert guard.failed("198.51.100.1", Misdeed.PASSWORD, 0) is None
    assert guard.failed("198.51.100.1", Misdeed.PASSWORD, 1) is None
    ban = guard.failed("198.51.100.1", Misdeed.PASSWORD, 2)
    assert ban is not None
    assert ban.seconds == 100
    assert guard.banned("198.51.100.1", 101)
    assert not guard.banned("198.51.100.1", 103)
    lengths = []
    for start in (200.0, 500.0, 900.0):
        for step in range(3):
            again = guard.failed("198.51.100.1", Misdeed.PASSWORD, start + step)
        assert again is not None
        lengths.append(again.seconds)
    assert lengths == [200, 300, 300]


def test_slow_mistakes_are_forgiven() -> None:
    """Lost otherwise: a device that asks once a minute without its password first is banned within the hour."""
    guard = _guard()
    for minute in range(200):
        assert guard.failed("198.51.100.1", Misdeed.UNKNOWN, minute * 60.0) is None
        guard.succeeded("198.51.100.1", minute * 60.0)


def test_who_logs_in_as_himself_may_not_guess_at_others_between() -> None:
    """Lost otherwise: whoever has one account tries passwords of all the others for ever."""
    guard = _guard()
    for step in range(10):
        guard.failed("198.51.100.1", Misdeed.PASSWORD, step, "mallory")
        guard.failed("198.51.100.1", Misdeed.UNKNOWN, step)
        guard.succeeded("198.51.100.1", step, "mallory")
    for step in range(10, 16):  # twice as many as a stranger
        assert not guard.banned("198.51.100.1", step)
        guard.failed("198.51.100.1", Misdeed.PASSWORD, step, "alice")
        guard.succeeded("198.51.100.1", step, "mallory")
    assert guard.banned("198.51.100.1", 16)


def test_one_machine_with_an_old_password_does_not_lock_out_its_office() -> None:
    """Lost otherwise: all machines behind one address are silent because of one."""
    guard = _guard()
    for minute in range(100):
        for step in range(8):  # three lead a stranger to a ban
            guard.failed("198.51.100.1", Misdeed.PASSWORD, minute * 61 + step, "old")
            guard.succeeded("198.51.100.1", minute * 61 + step, f"good {minute % 5}")
            if minute > 3:
                assert not guard.banned("198.51.100.1", minute * 61 + step)


def test_trusted_networks_are_never_banned_and_neighbours_are_not_either() -> None:
    """Lost otherwise: our own office is locked out, or a whole provider for one customer."""
    guard = _guard()
    for step in range(20):
        assert guard.failed("192.0.2.7", Misdeed.PASSWORD, step) is None
        guard.failed("198.51.100.1", Misdeed.PASSWORD, step)
    assert not guard.banned("198.51.100.2", 5)
    assert [ban.source for ban in guard.bans(5)] == ["198.51.100.1"]


def test_an_ipv6_customer_is_one_source() -> None:
    """Lost otherwise: a scanner takes a new address for each guess."""
    guard = _guard()
    for step in range(3):
        guard.failed(f"2001:db8::{step + 1}", Misdeed.PASSWORD, step)
    assert guard.banned("2001:db8::ffff", 5)
    assert not guard.banned("2001:db8:0:1::1", 5)


def test_memory_is_bounded() -> None:
    """Lost otherwise: forged sources fill the memory of the line."""
    guard = _guard()
    for number in range(30_000):
        guard.failed(f"10.{number >> 16}.{(number >> 8) & 255}.{number & 255}", Misdeed.UNREADABLE, 0.0)
    assert len(guard._sources) <= 10_000
