"""OpenPGP by the gpg program: a signature is verified in a home directory that holds the trusted keys and nothing else.

Source: gpg(1), GnuPG's doc/DETAILS for the status lines.
"""

import os
import shutil
import subprocess
import tempfile

from podlike.errors import ConfigError, NotFoundError, RegistryError
from podlike.paths import find_program

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Final, NamedTuple, Self
else:
    from podlike.spec.record import NamedTuple

_TIMEOUT_S: "Final" = 60
# A message of this size says all that a signature has to say.
_CONTENT_MAX: "Final" = 1 << 20
# Each of these in the status is a reason not to trust the signature, whatever else is there.
_BAD: "Final" = frozenset(("BADSIG", "ERRSIG", "EXPSIG", "EXPKEYSIG", "REVKEYSIG", "NODATA", "UNEXPECTED",
                           "DECRYPTION_OKAY", "BEGIN_DECRYPTION", "TRUST_NEVER"))
_WORDS: "Final" = {"BADSIG": "the signature does not fit its content", "EXPSIG": "the signature has expired",
                   "EXPKEYSIG": "the key that made it has expired", "REVKEYSIG": "the key that made it is revoked",
                   "NODATA": "it is not an OpenPGP message"}


class Verified(NamedTuple):
    """content: what was signed. fingerprint: of the signer's primary key."""

    content: bytes
    fingerprint: str


class Keyring:
    """`with Keyring([key, ...]) as ring: ring.verify(signature)`; the keys are exported OpenPGP keys, armoured or not."""

    def __init__(self, keys: "list[bytes]") -> None:
        self._keys = keys
        self._home = ""
        self.fingerprints: set[str] = set()

    def __enter__(self) -> "Self":
        self._home = tempfile.mkdtemp(prefix="podlike-gpg-")
        try:
            for key in self._keys:
                self._import(key)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, kind: "type[BaseException] | None", value: "BaseException | None",
                 trace: "TracebackType | None") -> None:
        shutil.rmtree(self._home, ignore_errors=True)

    def _import(self, key: bytes) -> None:
        status, _ = self._gpg(["--import"], key)
        for words in status:
            if words[0] == "IMPORT_OK" and len(words) > 2:
                self.fingerprints.add(words[2])

    def verify(self, signature: bytes) -> Verified:
        """Raises: RegistryError unless exactly one good signature of one of the keys covers the whole content."""
        output = f"{self._home}/content"
        try:
            status, said = self._gpg(["--output", output, "--verify", "-"], signature)
            kinds = [words[0] for words in status]
            bad = next((kind for kind in kinds if kind in _BAD), "")
            valid = [words for words in status if words[0] == "VALIDSIG"]
            if bad or kinds.count("GOODSIG") != 1 or len(valid) != 1 or kinds.count("PLAINTEXT") != 1 \
                    or len(valid[0]) < 11:
                raise RegistryError(f"invalid GPG signature: {_why(bad, status, said)}")
            with open(output, "rb") as f:
                content = f.read(_CONTENT_MAX + 1)
        finally:
            if os.path.exists(output):
                os.unlink(output)
        if len(content) > _CONTENT_MAX:
            raise RegistryError(f"invalid GPG signature: its content is larger than {_CONTENT_MAX} bytes")
        fingerprint = valid[0][10]
        if fingerprint not in self.fingerprints:
            raise RegistryError(f"invalid GPG signature: signature by key {fingerprint} is not accepted")
        return Verified(content, fingerprint)

    def users(self) -> list[str]:
        """Mail addresses (or names) of the keys."""
        _, text = self._gpg(["--list-keys", "--with-colons"], b"", output=True)
        found = []
        for line in text.splitlines():
            fields = line.split(":")
            if fields[0] in ("uid", "pub") and len(fields) > 9 and fields[9]:
                name = fields[9]
                found.append(name.partition("<")[2].partition(">")[0] if "<" in name and ">" in name else name)
        return found

    def _gpg(self, arguments: "list[str]", data: bytes, *, output: bool = False) -> "tuple[list[list[str]], str]":
        """(status lines as words, what gpg says to people; with output: what it prints)."""
        status = f"{self._home}/status"
        command = [program(), "--homedir", self._home, "--batch", "--no-tty", "--no-options", "--no-auto-key-retrieve",
                   "--disable-dirmngr", "--trust-model", "always", "--status-file", status, *arguments]
        done = _run(command, data, {**os.environ, "LC_ALL": "C"})
        lines = []
        if os.path.exists(status):
            with open(status, encoding="utf-8", errors="replace") as f:
                lines = [line.split()[1:] for line in f if line.startswith("[GNUPG:] ")]
            os.unlink(status)
        return [words for words in lines if words], (done.stdout if output else done.stderr).decode(errors="replace")


def sign(content: bytes, key: str, *, passphrase: str | None = None) -> bytes:
    """Sign with a secret key of the user's key ring (GNUPGHOME); without a passphrase gpg's agent asks for it.

    Raises: NotFoundError when there is no such key, RegistryError.
    """
    with tempfile.TemporaryDirectory(prefix="podlike-gpg-") as directory:
        output, status = f"{directory}/signature", f"{directory}/status"
        command = [program(), "--status-file", status, "--output", output, "--no-armor", "--local-user", key]
        read = -1
        if passphrase is not None:
            read, write = os.pipe()
            os.write(write, passphrase.encode()[:4096] + b"\n")  # fits into the pipe
            os.close(write)
            command += ["--batch", "--pinentry-mode", "loopback", "--passphrase-fd", str(read)]
        try:
            done = _run([*command, "--sign", "-"], content, dict(os.environ), fds=(read,) if read >= 0 else ())
        finally:
            if read >= 0:
                os.close(read)
        if done.returncode == 0:
            with open(output, "rb") as f:
                return f.read()
        said = done.stderr.decode(errors="replace").strip().splitlines()
        why = said[-1].removeprefix("gpg: ") if said else f"exit code {done.returncode}"
        with open(status, encoding="utf-8", errors="replace") as f:
            unknown = "INV_SGNR" in f.read()
    if unknown:
        raise NotFoundError(f"sign with GPG key {key}: {why}", hint="See your keys with: gpg --list-secret-keys.")
    raise RegistryError(f"sign with GPG key {key}: {why}", hint="Try it by hand: gpg --local-user KEY --sign FILE.")


def program() -> str:
    """Raises: ConfigError when gpg is not installed."""
    found = find_program("gpg") or find_program("gpg2")
    if not found:
        raise ConfigError("run gpg: executable file not found in $PATH",
                          hint="Install GnuPG (Debian: gnupg), or change the trust policy.")
    return found


def _run(command: "list[str]", data: bytes, environment: "dict[str, str]",
         fds: tuple[int, ...] = ()) -> "subprocess.CompletedProcess[bytes]":
    try:
        return subprocess.run(command, input=data, capture_output=True, env=environment, pass_fds=fds,
                              timeout=_TIMEOUT_S if "--batch" in command else None)
    except (OSError, subprocess.SubprocessError) as e:
        raise RegistryError(f"run {command[0]}: {e}", hint="Run it by hand to see why.") from e


def _why(bad: str, status: "list[list[str]]", said: str) -> str:
    missing = next((words[1] for words in status if words[0] == "NO_PUBKEY" and len(words) > 1), "")
    if missing:
        return f"it is by the key {missing}, which the policy does not name"
    last = said.strip().splitlines()
    return _WORDS.get(bad) or (last[-1].removeprefix("gpg: ") if last else "it has not exactly one signature")
