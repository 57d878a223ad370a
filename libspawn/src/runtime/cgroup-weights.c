/* Weights of cgroup v1 on the scales of v2. */
#include "cgroup.h"

/* log2(x) for x >= 1 and 10^y for 0 <= y < 5 to some 14 digits: libm would be one more library on each start. */
static double log2_of(uint64_t x)
{
        int whole = 63 - __builtin_clzll(x);
        double m = (double) x / (double) (UINT64_C(1) << whole), bit = 0.5, log = whole;

        for (int i = 0; i < 50; i++, bit /= 2) {
                m *= m;
                if (m >= 2) {
                        m /= 2;
                        log += bit;
                }
        }
        return log;
}

static double power_of_10(double y)
{
        const double ln10 = 2.302585092994046;
        int whole = (int) y;
        double x = (y - whole) * ln10, term = 1, sum = 1;

        for (int i = 1; i < 30; i++)
                sum += term *= x / i;
        for (; whole > 0; whole--)
                sum *= 10;
        return sum;
}

unsigned int cgroup_weight_of_shares(uint64_t shares)
{
        double l, w;
        unsigned int whole;

        if (shares <= 2)
                return 1;
        if (shares >= 262144)
                return 10000;
        /* The quadratic through minimum, default and maximum of both scales (1024 is 100), as in crun and runc. */
        l = log2_of(shares);
        w = power_of_10((l * l + 125 * l) / 612.0 - 7.0 / 34.0);
        whole = (unsigned int) w;
        return w - whole > 1e-9 ? whole + 1 : whole;
}

unsigned int cgroup_io_weight(unsigned int weight)
{
        /* Both scales are linear: 10 is 1, 1000 is 10000. */
        return 1 + (weight - 10) * 9999 / 990;
}
