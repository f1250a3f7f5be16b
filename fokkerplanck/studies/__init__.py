"""Studies: the same measurement at many parameters, on many processes, into one dataset that survives interruptions."""

from .driver import read, study
from .specification import Specification, names, specification
from .workers import connect

__all__ = ["Specification", "connect", "names", "read", "specification", "study"]
