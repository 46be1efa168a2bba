"""Owns MemoryKeyService: a key service in one process's memory, for tests."""

from __future__ import annotations

from core.cipher import DoesNotOpen, new_key, unwrap, wrap
from core.encryption import S3_KEY_ID, DataKey
from core.errors import Corrupt, NoSuchEncryptionKey


class MemoryKeyService:
    """A KeyService with the keys that it was made with; the first of them is the default."""

    def __init__(self, *key_ids: str) -> None:
        self._default = key_ids[0] if key_ids else ""
        self._keys = {key_id: new_key() for key_id in (*key_ids, S3_KEY_ID)}

    async def new_data_key(self, key_id: str, binding: bytes) -> DataKey:
        wanted = key_id or self._default
        made = new_key()
        return DataKey(made, wrap(self._key(wanted), made, binding), wanted)

    async def unwrap(self, key_id: str, wrapped_key: bytes, binding: bytes) -> bytes:
        try:
            return unwrap(self._key(key_id), wrapped_key, binding)
        except DoesNotOpen:
            raise Corrupt(what="wrapped data key", where=key_id) from None

    def _key(self, key_id: str) -> bytes:
        try:
            return self._keys[key_id]
        except KeyError:
            raise NoSuchEncryptionKey(key_id=key_id) from None
