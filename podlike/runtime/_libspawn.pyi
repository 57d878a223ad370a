"""The cffi module that the build makes from libspawn/include/libspawn.h."""

from typing import Any

ffi: Any
lib: Any
