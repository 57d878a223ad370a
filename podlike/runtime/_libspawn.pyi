"""The cffi module that the build makes from libspawn/include/spawn.h."""

from typing import Any

ffi: Any
lib: Any
