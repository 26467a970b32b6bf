"""Bearer tokens from a file of a mounted Secret; a rotated one holds from the next request on."""

import hmac
from dataclasses import dataclass
from pathlib import Path


class TokensUnreadableError(Exception):
    """The file is missing, empty or cannot be read: nobody is let in."""


@dataclass(frozen=True, slots=True)
class BearerTokens:
    """The tokens that are accepted: one a line, so that two can hold while one is replaced by the other."""

    file: Path

    def accept(self, authorization: str) -> bool:
        """Whether a request's `Authorization` carries one of the tokens.

        Raises:
            TokensUnreadableError: There is no token to compare with.
        """
        try:
            lines = self.file.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError):
            raise TokensUnreadableError(f"{self.file} cannot be read.") from None
        tokens = [line.strip() for line in lines if line.strip()]
        if not tokens:
            raise TokensUnreadableError(f"{self.file} holds no token.")
        scheme, _, given = authorization.partition(" ")
        if scheme.lower() != "bearer":
            return False
        # Every token is compared, in constant time: an answer's time tells nothing of them.
        # Headers are bytes; those that are not UTF-8 arrive as surrogates.
        sent = given.strip().encode(errors="surrogateescape")
        matches = [hmac.compare_digest(sent, token.encode()) for token in tokens]
        return any(matches)
