"""A set of images by name: the contract of the sources in the registry."""

from __future__ import annotations

from typing import ClassVar

from pydantic import BaseModel, ConfigDict

from phispace.data.origin import Origin, Request


class SourceConfig(BaseModel):
    """A source's options; unknown names are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Source:
    """Base of all named sources.

    Class attributes:
        name: registered name.
        title: name for people.
        reference: who made the images, and where they are published.
        offline: True if the images are always there (generated, or part of a dependency).
    """

    name: ClassVar[str]
    title: ClassVar[str]
    reference: ClassVar[str]
    offline: ClassVar[bool] = False
    Config: ClassVar[type[SourceConfig]] = SourceConfig

    def __init__(self, config: SourceConfig | None = None) -> None:
        self.config = config if config is not None else self.Config()

    def origin(self, request: Request) -> Origin:
        """Find the files (or fetch them) and say how the set is built.

        Raises:
            DataError: the files are not there and cannot be fetched, or are not what they should be.
        """
        raise NotImplementedError(f"{type(self).__name__} must define origin (abstract)")
