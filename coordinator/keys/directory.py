"""Where a coordinator keeps what it is made of: the names in its data directory."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class DataDirectory:
    """The files of one coordinator."""

    path: Path

    @property
    def database(self) -> Path:
        """Return the default database; it exists once `init` is through."""
        return self.path / "coordinator.db"

    @property
    def keys(self) -> Path:
        """Return the folder of the secret keys, 0700."""
        return self.path / "keys"

    @property
    def root_key(self) -> Path:
        """Return the key that speaks for the fleet's key set; belongs off this machine."""
        return self.keys / "root.pem"

    @property
    def release_key(self) -> Path:
        """Return the key that says what may ever run; belongs off this machine."""
        return self.keys / "release.pem"

    @property
    def director_key(self) -> Path:
        """Return the key that signs bundles and replies."""
        return self.keys / "director.pem"

    def offline_keys(self) -> list[Path]:
        """Return the root and release keys that lie on this machine, though they should not."""
        return sorted([*self.keys.glob("root*.pem"), *self.keys.glob("release*.pem")])

    def director_keys(self) -> list[Path]:
        """Return every director's key there is: the one in force, and one that will be."""
        return sorted(self.keys.glob("director*.pem"))

    @property
    def carrier_key(self) -> Path:
        """Return the key that opens what agents send on sticks."""
        return self.keys / "carrier.pem"

    @property
    def authority_key(self) -> Path:
        """Return the key of the fleet's CA."""
        return self.keys / "ca-key.pem"

    @property
    def server(self) -> Path:
        """Return the server's key and certificate."""
        return self.keys / "server.pem"

    @property
    def authority(self) -> Path:
        """Return the certificate of the fleet's CA: public, handed out with claims."""
        return self.path / "ca.pem"

    @property
    def admin(self) -> Path:
        """Return how the command line reaches this coordinator, 0600."""
        return self.path / "admin.toml"

    @property
    def bell(self) -> Path:
        """Return the pipe through which a running coordinator is told to look again."""
        return self.path / "bell"

    @property
    def artifacts(self) -> Path:
        """Return the folder of the files that jobs name by their content."""
        return self.path / "artifacts"

    @property
    def request(self) -> Path:
        """Return what is carried to the offline keys while a fleet is being founded; public."""
        return self.path / "request.json"

    @property
    def papers(self) -> Path:
        """Return where drafts that lack signatures are written, unless somebody says where."""
        return self.path / "papers.json"
