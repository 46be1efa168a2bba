"""The random steps of uploads."""

from __future__ import annotations

import dataclasses
from contextlib import suppress

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from core.errors import NoSuchUpload
from core.names import UploadId
from core.types import BoundedRange
from core.uploads import CompletedPart, UploadListQuery
from tests.contract.machine import (
    AFFIXES,
    DATA,
    DELIMITERS,
    KEYS,
    MARKS,
    PLACES,
    Completed,
    StoreMachine,
    attributes_of,
    conditions_of,
)
from tests.contract.model import (
    MIN_PART_BYTES,
    NOTHING_WANTED,
    ModelUpload,
    ModelVersion,
    Wanted,
    list_names,
    md5_of,
)
from tests.contract.world import USER, Body, key

NUMBERS = st.sampled_from([1, 2, 3, 10_000])


class UploadSteps(StoreMachine):
    """Uploads, their parts, and the versions that they end in."""

    @rule(place=PLACES, name=KEYS, mark=MARKS)
    def create_upload(self, place: int, name: str, mark: str) -> None:
        self._begin(place, name, mark)

    def _begin(self, place: int, name: str, mark: str) -> str:
        self.world.clock.advance(1)
        upload = self.run(
            self.world.store.create_upload(
                self.bucket(place), key(name), attributes=attributes_of(mark), initiator=USER
            )
        )
        self.models[place].uploads[upload.upload_id] = ModelUpload(name, mark)
        return upload.upload_id

    @precondition(lambda self: any(model.uploads for model in self.models))
    @rule(data=st.data(), number=NUMBERS, content=DATA)
    def upload_part(self, data: st.DataObject, number: int, content: bytes) -> None:
        place, upload_id, upload = self.some_upload(data)
        part = self.run(
            self.world.store.upload_part(
                self.bucket(place), key(upload.key), UploadId(upload_id), number, Body(content)
            )
        )
        assert (part.etag, part.size_bytes) == (md5_of(content), len(content))
        upload.parts[number] = content

    @precondition(lambda self: any(model.uploads for model in self.models))
    @rule(data=st.data(), number=NUMBERS)
    def upload_part_copy(self, data: st.DataObject, number: int) -> None:
        place, upload_id, upload = self.some_upload(data)
        source = self.some_target(data)
        found = self.models[source.place].read(source.name, source.version_id)
        content = b"" if isinstance(found, str) else found.data or b""
        byte_range = None
        if len(content) > 1 and data.draw(st.booleans(), label="ranged"):
            byte_range = BoundedRange(1, len(content) - 1)
        copy = self.world.store.upload_part_copy(
            self.bucket(source.place),
            key(source.name),
            self.bucket(place),
            key(upload.key),
            UploadId(upload_id),
            number,
            source_version_id=source.version_id,
            source_range=byte_range,
        )
        if self.attempt(copy, found if isinstance(found, str) else "") is not None:
            upload.parts[number] = content if byte_range is None else content[1:]

    @precondition(lambda self: any(model.uploads for model in self.models))
    @rule(data=st.data(), is_orderly=st.booleans())
    def complete_upload(self, data: st.DataObject, is_orderly: bool) -> None:
        place, upload_id, upload = self.some_upload(data)
        held = st.sampled_from(sorted(upload.parts)) if upload.parts else NUMBERS
        numbers = data.draw(st.lists(held if is_orderly else NUMBERS, min_size=1, max_size=4))
        if is_orderly:
            numbers = sorted(set(numbers))
        wanted = self.some_wanted(data, self.models[place].current(upload.key))
        self._complete(place, upload_id, numbers, wanted)

    @rule(
        place=PLACES,
        name=KEYS,
        parts=st.dictionaries(
            NUMBERS, DATA.filter(lambda part: len(part) >= MIN_PART_BYTES), min_size=2
        ),
        spare=st.booleans(),
    )
    def upload_in_parts(self, place: int, name: str, parts: dict[int, bytes], spare: bool) -> None:
        """The whole way at once, which single steps seldom go; perhaps with a part that is not used."""
        upload_id = UploadId(self._begin(place, name, "m"))
        bucket = self.bucket(place)
        for number, part in parts.items():
            self.run(self.world.store.upload_part(bucket, key(name), upload_id, number, Body(part)))
        self.models[place].uploads[upload_id].parts.update(parts)
        numbers = sorted(parts)[: -1 if spare else None]
        self._complete(place, upload_id, numbers, NOTHING_WANTED)

    def _complete(self, place: int, upload_id: str, numbers: list[int], wanted: Wanted) -> None:
        model = self.models[place]
        upload = model.uploads[upload_id]
        named = [CompletedPart(number, md5_of(upload.parts.get(number, b""))) for number in numbers]
        expected = upload.completion(numbers)
        if isinstance(expected, str):
            error = expected
            # Of two reasons to refuse it, either will do.
            wanted = NOTHING_WANTED
        else:
            error = model.write_error(upload.key, wanted, self.now())
        complete = self.world.store.complete_upload(
            self.bucket(place),
            key(upload.key),
            UploadId(upload_id),
            named,
            conditions=conditions_of(wanted),
        )
        info = self.attempt(complete, error)
        if info is None:
            return
        assert isinstance(expected, ModelVersion)
        made = model.write(upload.key, expected, info.version_id, self.now())
        self.check_info(info, made)
        del model.uploads[upload_id]
        self.completed.append(Completed(place, upload.key, upload_id, named, made.serial))

    @precondition(lambda self: self.completed)
    @rule(data=st.data())
    def complete_again(self, data: st.DataObject) -> None:
        """The answer is the same while what was made is the current object; a store may forget, in time."""
        chosen = data.draw(st.integers(0, len(self.completed) - 1), label="completed")
        done = self.completed[chosen]
        current = self.models[done.place].current(done.name)
        is_current = current is not None and current.serial == done.serial
        again = self.world.store.complete_upload(
            self.bucket(done.place), key(done.name), UploadId(done.upload_id), done.parts
        )
        if is_current and not done.is_sure:
            with suppress(NoSuchUpload):
                self.run(again)
            return
        info = self.attempt(again, "" if is_current else "NoSuchUpload")
        if info is not None:
            assert current is not None
            self.check_info(info, current)

    def forget_completions(self) -> None:
        self.completed = [dataclasses.replace(done, is_sure=False) for done in self.completed]

    @precondition(lambda self: any(model.uploads for model in self.models))
    @rule(data=st.data())
    def abort_upload(self, data: st.DataObject) -> None:
        place, upload_id, upload = self.some_upload(data)
        self.run(
            self.world.store.abort_upload(self.bucket(place), key(upload.key), UploadId(upload_id))
        )
        del self.models[place].uploads[upload_id]

    @precondition(lambda self: any(model.uploads for model in self.models))
    @rule(data=st.data(), limit=st.integers(1, 3))
    def list_parts(self, data: st.DataObject, limit: int) -> None:
        place, upload_id, upload = self.some_upload(data)
        found: list[tuple[int, str]] = []
        after = 0
        while True:
            page = self.run(
                self.world.store.list_parts(
                    self.bucket(place),
                    key(upload.key),
                    UploadId(upload_id),
                    after=after,
                    limit=limit,
                )
            )
            found += [(part.part_number, part.etag) for part in page.parts]
            if not page.is_truncated:
                break
            after = page.next_part_number_marker
        assert found == [(number, md5_of(part)) for number, part in sorted(upload.parts.items())]

    @rule(place=PLACES, prefix=AFFIXES, delimiter=DELIMITERS, limit=st.sampled_from([1, 2, 1000]))
    def list_uploads(self, place: int, prefix: str, delimiter: str, limit: int) -> None:
        uploads = self.models[place].uploads
        names = list_names([upload.key for upload in uploads.values()], prefix, delimiter, "")
        single = {name for name, is_group in names if not is_group}
        query = UploadListQuery(prefix, delimiter, limit=limit)
        ids: list[str] = []
        groups: list[str] = []
        while True:
            page = self.run(self.world.store.list_uploads(self.bucket(place), query))
            ids += [upload.upload_id for upload in page.uploads]
            groups += page.common_prefixes
            if not page.is_truncated:
                break
            query = UploadListQuery(
                prefix, delimiter, page.next_key_marker, page.next_upload_id_marker, limit
            )
        assert groups == [name for name, is_group in names if is_group]
        # The model keeps uploads in order of creation, and sorting is stable.
        ours = [upload_id for upload_id, upload in uploads.items() if upload.key in single]
        assert ids == sorted(ours, key=lambda upload_id: uploads[upload_id].key.encode())
