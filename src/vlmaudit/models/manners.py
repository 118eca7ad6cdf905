"""How a kind of server is spoken of: its key, and what its refusals mean."""

from collections.abc import Callable
from dataclasses import dataclass

from vlmaudit.models.lines import KEY_VARIABLE


@dataclass(frozen=True, slots=True, kw_only=True)
class Manners:
    """What to say when a server refuses.

    Attributes:
        key_variable: The environment variable that holds the key.
        absent: What is amiss where nothing is found, and what to check.
        explain: A refusal's reason from its status and its JSON, in words of ours, or nothing; may
            raise what ends the run. None where nothing is to be learnt from what a server writes.
    """

    key_variable: str = KEY_VARIABLE
    absent: str = "there is nothing to ask at this address (status {status}); check its path."
    explain: Callable[[int, object], str] | None = None

    def advice(self, status: int, *, has_key: bool) -> str:
        """What to do about a status that every further request would get too, or nothing."""
        if 300 <= status < 400:
            return (
                f"the server redirects (status {status}), and pictures go nowhere but where you "
                "said; give the address it leads to."
            )
        if status in {401, 403}:
            name = self.key_variable
            what = f"does not accept the key in {name}" if has_key else "wants a key"
            mend = "set it to" if has_key else f"set {name} to"
            return f"the server {what} (status {status}); {mend} one that may ask this model."
        if status == 402:
            return "the server wants to be paid first (status 402); see to the key's account."
        if status in {404, 405, 410}:
            return self.absent.format(status=status)
        if status == 407:
            return "the proxy wants a password (status 407); put it into HTTP_PROXY."
        return ""
