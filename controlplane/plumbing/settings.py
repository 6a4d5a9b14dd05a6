"""Every setting, typed and read once a process; names and meanings: docs/contracts.md."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from controlplane.kernel.keyring import Keyring, parse_keyring
from controlplane.plumbing.address_rules import Network, parse_networks


class Settings(BaseSettings):
    model_config = SettingsConfigDict(
        env_prefix="REMPART_", extra="ignore", frozen=True, populate_by_name=True, env_ignore_empty=True
    )

    environment: Literal["local", "production"] = "production"
    owner_database_url: SecretStr = Field(default=SecretStr(""), validation_alias="DATABASE_URL")
    app_database_url: SecretStr = Field(default=SecretStr(""), validation_alias="REMPART_DATABASE_URL")
    system_database_url: SecretStr = SecretStr("")
    redis_url: str = Field(default="redis://127.0.0.1:6379/0", validation_alias="REDIS_URL")
    kubeconfig: Path | None = Field(default=None, validation_alias="KUBECONFIG")
    # One secret for each purpose, "<id>:<hex>" and comma-separated, the writing one first; see kernel/keyring.py.
    hash_keys: SecretStr = SecretStr("")
    sealing_keys: SecretStr = SecretStr("")
    session_keys: SecretStr = SecretStr("")
    token_keys: SecretStr = SecretStr("")
    # The one secret of installations from before there was one for each purpose; stands for those that are not set.
    key_pepper: SecretStr = SecretStr("")
    state_dir: Path = Path("build/local/state")
    # Where programs without a port leave signs of life for probes; none: they leave none.
    pulse_dir: Path | None = None
    api_host: str = "127.0.0.1"
    api_port: int = 8080
    gateway_host: str = "127.0.0.1"
    gateway_port: int = 8081
    gateway_admin_port: int = 8082
    activator_port: int = 8083
    gateway_name: str = "gateway-1"
    gateway_domain: str = "rempart.localhost"
    # Further names of the gateway itself, parted by commas: calls to any other name are for a service.
    gateway_names: str = ""
    gateway_connections: int = Field(default=10_000, ge=100, le=1_000_000)
    gateway_workers: int = Field(default=2, ge=1, le=64)
    gateway_trusted_hops: int = Field(default=0, ge=0, le=8)
    gateway_key_calls_per_second: int = Field(default=200, ge=1, le=1_000_000)
    gateway_tenant_calls_per_second: int = Field(default=400, ge=1, le=1_000_000)
    # Calls are refused while less than this is free where the gateway records what they use.
    gateway_disk_reserve_mib: int = Field(default=64, ge=1, le=1_048_576)
    envoy_memory_bytes: int = Field(default=768 << 20, ge=128 << 20)
    ingest_url: str = ""
    ingest_key: SecretStr = SecretStr("")
    ingest_key_file: Path | None = None
    database_pool_size: int = Field(default=10, ge=1, le=100)
    # Whether anybody may register a company; otherwise the operator alone does.
    is_signup_open: bool = False
    # Whether an operator confirms who signed up before it may have more than little.
    is_approval_needed: bool = True
    pending_signups_max: int = Field(default=200, ge=0, le=100_000)
    # The terms of service that a new customer accepts: which version is in force, and where it is read.
    terms_version: str = Field(default="2026-11", min_length=1, max_length=40)
    terms_url: str = Field(default="", max_length=500)
    # What one key (twice that for its organization) or one address may do at the API; never off.
    rate_reads_per_minute: int = Field(default=1800, ge=1)
    rate_writes_per_minute: int = Field(default=600, ge=1)
    rate_ingests_per_minute: int = Field(default=6000, ge=1)
    rate_signups_per_hour: int = Field(default=10, ge=1)
    rate_failed_signins_per_minute: int = Field(default=20, ge=1)
    rate_anonymous_per_minute: int = Field(default=120, ge=1)
    # Networks of the proxies whose X-Forwarded-For is believed; empty: nobody's is.
    trusted_proxies: str = ""
    connections_max: int = Field(default=4096, ge=16)
    connections_per_address_max: int = Field(default=512, ge=4)
    portal_host: str = "127.0.0.1"
    portal_port: int = 8084
    # Where the portal finds the REST door and the gateway.
    api_url: str = "http://127.0.0.1:8080"
    gateway_url: str = "http://127.0.0.1:8081"
    # Where VIES (or what speaks like it) is asked; empty: not connected, answers are recorded by hand.
    vies_url: str = ""
    # Where Prometheus reads this program's metrics; 0: nowhere.
    metrics_host: str = "127.0.0.1"
    metrics_port: int = Field(default=0, ge=0, le=65535)
    log_level: str = "INFO"

    @property
    def trusted_networks(self) -> tuple[Network, ...]:
        return parse_networks(self.trusted_proxies)

    @field_validator("trusted_proxies")
    @classmethod
    def _are_networks(cls, text: str) -> str:
        parse_networks(text)
        return text

    @property
    def hash_ring(self) -> Keyring:
        """Keys the hashes of API keys: api, gateway, seed."""
        return self._ring("HASH_KEYS", self.hash_keys)

    @property
    def sealing_ring(self) -> Keyring:
        """Seals tenants' secrets: api and worker."""
        return self._ring("SEALING_KEYS", self.sealing_keys)

    @property
    def session_ring(self) -> Keyring:
        """Seals people's sessions: portal."""
        return self._ring("SESSION_KEYS", self.session_keys)

    @property
    def token_ring(self) -> Keyring:
        """Signs cursors, and keys the hashes of requests that may be repeated: api."""
        return self._ring("TOKEN_KEYS", self.token_keys)

    def _ring(self, name: str, own: SecretStr) -> Keyring:
        text = own.get_secret_value() or self.key_pepper.get_secret_value()
        if not text:
            raise ValueError(f"REMPART_{name} is not set: this program was not given that secret")
        try:
            return parse_keyring(text)
        except ValueError as error:
            raise ValueError(f"REMPART_{name}: {error}") from None


@lru_cache(maxsize=1)
def load_settings() -> Settings:
    """Read the environment once; a bad value stops the process with pydantic's explanation."""
    return Settings()
