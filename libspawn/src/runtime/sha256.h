#ifndef PODLIKE_SHA256_H
#define PODLIKE_SHA256_H

#include <stddef.h>
#include <stdint.h>

struct sha256 {
        uint32_t h[8];
        uint64_t bytes;
        uint8_t block[64];
};

void sha256_init(struct sha256 *s);
void sha256_add(struct sha256 *s, const void *data, size_t len);
/* 64 hexadecimal digits and a zero byte. */
void sha256_hex(struct sha256 *s, char ret[65]);

#endif
