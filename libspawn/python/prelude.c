#include "libspawn.h"
