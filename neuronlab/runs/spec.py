"""A spec holds everything that decides a result, and names that result by a key."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import to_jsonable_python

KEY_LENGTH = 16
S = TypeVar("S", bound="Spec")
# What every generator of random numbers takes.
Seed = Annotated[int, Field(ge=0, lt=2**63)]


class Spec(BaseModel):
    """Base of all specs: a frozen set of fields that, with `study` and `version`, fixes a result.

    `version` is raised when the study's computation changes, so that old results are not reused.
    A subclass may not name a field `study`, `version` or `key` (TypeError).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    study: ClassVar[str]
    version: ClassVar[int] = 1

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        reserved = {"study", "version", "key"} & cls.model_fields.keys()
        if reserved:
            raise TypeError(f"{cls.__name__} uses reserved field names: {sorted(reserved)}")

    @property
    def key(self) -> str:
        """16 hex characters; equal for equal study, version and fields, in every process."""
        return key_of(self._written())

    def to_json(self) -> str:
        """The spec as one flat JSON object: `study`, `version`, then the fields."""
        return json.dumps(self._written(), indent=2)

    def save(self, path: Path) -> None:
        """Write `to_json()` to `path`; OSError when it cannot be written."""
        Path(path).write_text(self.to_json() + "\n", encoding="utf-8")

    def _written(self) -> dict[str, Any]:
        # serialize_as_any: a subclass in a field typed by its base keeps its own fields, so that
        # two different specs never share a key.
        fields = to_jsonable_python(_with_sorted_sets(self.model_dump(serialize_as_any=True)))
        return {"study": self.study, "version": self.version, **fields}


def key_of(written: Mapping[str, Any]) -> str:
    """The key of the spec that `Spec.to_json` wrote, of whatever study and version it was."""
    fields = dict(written)
    identity = {name: fields.pop(name, None) for name in ("study", "version")}
    canonical = json.dumps({**identity, "fields": fields}, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:KEY_LENGTH]


def read_spec(text: str, specs: Mapping[str, type[Spec]]) -> Spec:
    """The spec written in `text` by `Spec.to_json` or by hand, as the type `specs[study]`.

    `version` may be absent or older (the current version is computed). ValueError with one
    sentence for text that is not a JSON object, an unknown study, wrong fields or a newer version.
    """
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"The spec is not JSON: {error}.") from error
    if not isinstance(fields, dict):
        raise ValueError("The spec is not a JSON object.")
    study = fields.pop("study", None)
    if not isinstance(study, str) or study not in specs:
        studies = ", ".join(sorted(specs))
        raise ValueError(
            f"The spec names the study {study!r}, but the known studies are: {studies}."
        )
    spec_type = specs[study]
    version = fields.pop("version", spec_type.version)
    if type(version) is not int or not 1 <= version <= spec_type.version:
        raise ValueError(
            f"The {study} spec has version {version!r}, but this program knows versions up to "
            f"{spec_type.version}."
        )
    with _wrong_fields_in_a_sentence(study):
        return spec_type.model_validate_json(json.dumps(fields))


def spec_of(spec_type: type[S], fields: Mapping[str, Any]) -> S:
    """The spec with these fields. ValueError with one sentence for wrong ones."""
    with _wrong_fields_in_a_sentence(spec_type.study):
        return spec_type.model_validate(fields)


@contextmanager
def _wrong_fields_in_a_sentence(study: str) -> Iterator[None]:
    try:
        yield
    except ValidationError as error:
        wrong = "; ".join(
            f"{'.'.join(map(str, item['loc'])) or 'fields'}: {' '.join(item['msg'].split())}"
            for item in error.errors(include_url=False)
        )
        raise ValueError(f"The {study} spec has wrong fields: {wrong}.") from error


def _with_sorted_sets(value: Any) -> Any:
    """`value` with each set as a sorted list: the order of a set differs between processes."""
    if isinstance(value, dict):
        return {name: _with_sorted_sets(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_with_sorted_sets(item) for item in value]
    if isinstance(value, set | frozenset):
        return sorted((_with_sorted_sets(item) for item in value), key=repr)
    return value
