"""The custom resources of the group `rempart.eu`, as Python types. Imports pydantic alone."""
