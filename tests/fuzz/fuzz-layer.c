/* libFuzzer target: a layer's tar, from its bytes to files, and back.
 *
 * The input is a tar. Checksums of headers and lengths of pax records are made right first, so that what mutations change
 * gets past them. It is unpacked into a small tmpfs in a user namespace of our own, as podlike-layer does it, with tight
 * limits. Then:
 * - nothing beside the layer's root has changed, whatever happened;
 * - an error has words;
 * - what was unpacked can be packed, unpacked and packed again, and the two packed layers are equal;
 * - the tree can be removed.
 *
 * fuzz-layer -max_len=16384 found tests/fuzz/corpus-layer. Where no user namespace can be made it ends with words.
 */
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "layer.h"
#include "pack.h"
#include "util.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define BLOCK 512u
#define MAX_TAR (UINT64_C(1) << 20)

/* Stands in for stream.c: all of the tar is here, there is nothing to decompress and nobody to wait for. */
struct layer_stream {
        const uint8_t *data;
        size_t len, at;
};

ssize_t layer_stream_next(struct layer_stream *s, const void **ret, spawn_error *reterr)
{
        size_t n = s->len - s->at < 4096 ? s->len - s->at : 4096;

        (void) reterr;
        *ret = s->data + s->at;
        s->at += n;
        return (ssize_t) n;
}

static void die(const char *what)
{
        (void) fprintf(stderr, "fuzz-layer: %s\n", what);
        abort();
}

static void write_text(const char *path, const char *text)
{
        _cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

        if (fd < 0 || write(fd, text, strlen(text)) < 0) {
                perror(path);
                exit(1);
        }
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
        char map[64];
        unsigned uid = getuid(), gid = getgid();

        (void) argc;
        (void) argv;
        if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0) {
                perror("fuzz-layer: make a user namespace");
                exit(1);
        }
        (void) snprintf(map, sizeof(map), "0 %u 1", uid);
        write_text("/proc/self/uid_map", map);
        write_text("/proc/self/setgroups", "deny");
        (void) snprintf(map, sizeof(map), "0 %u 1", gid);
        write_text("/proc/self/gid_map", map);
        if (mount("none", "/tmp", "tmpfs", 0, "size=16m,nr_inodes=20000,mode=755") < 0 ||
            mkdir("/tmp/victim", 0700) < 0) {
                perror("fuzz-layer: mount a tmpfs");
                exit(1);
        }
        write_text("/tmp/victim/file", "untouched");
        (void) umask(0);
        return 0;
}

/* The numbers that say where the next header is, and the checksum, which a mutation has spoiled. */
static void mend(uint8_t *tar, size_t len)
{
        for (size_t at = 0; at + BLOCK <= len;) {
                uint8_t *h = tar + at;
                unsigned sum = 0;
                unsigned long long size;
                char field[13] = "", text[8];

                memcpy(field, h + 124, 12);
                size = strtoull(field, NULL, 8);
                memset(h + 148, ' ', 8);
                for (size_t i = 0; i < BLOCK; i++)
                        sum += h[i];
                if (sum == 8 * ' ') /* the end */
                        return;
                (void) snprintf(text, sizeof(text), "%06o", sum & 0777777);
                memcpy(h + 148, text, 7);
                at += BLOCK;
                if (size > len)
                        return;
                at += (size + BLOCK - 1) / BLOCK * BLOCK;
        }
}

static int unpack(const uint8_t *data, size_t len, int *ret_root)
{
        struct layer_stream s = {.data = data, .len = len};
        const struct layer_how how = {
                .opaque_xattr = "user.overlay.opaque",
                .max_size = MAX_TAR * 4,
                .max_entries = 2000,
                .ignore_owners = len % 2,
        };
        struct layer_result result;
        spawn_error error = {0};
        int r;

        if (mkdir("/tmp/root", 0700) < 0)
                die("the root of the last run is still there");
        *ret_root = open("/tmp/root", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        r = layer_extract(&s, *ret_root, &how, &result, &error);
        if (r < 0 && (error.text[0] == '\0' || error.stage[0] == '\0'))
                die("an error without words");
        if (r < 0 && getenv("FUZZ_LAYER_WORDS"))
                (void) fprintf(stderr, "%s %s\n", error.stage, error.text);
        return r;
}

static void remove_root(int root)
{
        struct layer_tree tree = {.root_fd = -1, .dir_fd = -1};
        _cleanup_close_ int top = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        spawn_error error = {0};

        (void) close(root);
        if (layer_tree_remove(&tree, top, "root", NULL, &error) < 0) {
                (void) fprintf(stderr, "%s %s\n", error.stage, error.text);
                die("the tree cannot be removed");
        }
}

static void check_victim(void)
{
        struct stat st;

        if (lstat("/tmp/victim/file", &st) < 0 || st.st_size != 9 || st.st_nlink != 1 || st.st_mode != (S_IFREG | 0644))
                die("a file beside the root has changed");
        if (lstat("/tmp/victim", &st) < 0 || st.st_mode != (S_IFDIR | 0700) || st.st_nlink != 2)
                die("a directory beside the root has changed");
        if (lstat("/tmp", &st) < 0 || st.st_nlink > 4)
                die("a directory was made beside the root");
}

/* The tree as a tar in memory; NULL: it cannot be one. */
static uint8_t *pack(int root, size_t *ret_len, char ret_hex[65])
{
        const struct pack_how how = {.holes = true};
        _cleanup_close_ int fd = memfd_create("layer", MFD_CLOEXEC);
        struct pack_result result;
        spawn_error error = {0};
        struct stat st;
        uint8_t *data = NULL;

        if (fd < 0 || layer_pack(root, fd, &how, &result, ret_hex, &error) < 0)
                return NULL;
        if (fstat(fd, &st) < 0 || (data = malloc((size_t) st.st_size)) == NULL ||
            pread(fd, data, (size_t) st.st_size, 0) != st.st_size)
                die("the packed layer cannot be read");
        *ret_len = (size_t) st.st_size;
        return data;
}

static void check_pack(int root)
{
        char first[65], second[65];
        size_t len, again_len;
        uint8_t *data = pack(root, &len, first), *again;

        remove_root(root);
        if (data == NULL)
                return;
        if (unpack(data, len, &root) == 0) {
                again = pack(root, &again_len, second);
                if (again == NULL || len != again_len || memcmp(data, again, len) != 0)
                        die("a layer that was packed, unpacked and packed is not the same");
                free(again);
        }
        remove_root(root);
        free(data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        uint8_t *tar = malloc(size ? size : 1);
        int root;

        if (tar == NULL)
                return 0;
        memcpy(tar, data, size);
        mend(tar, size);
        if (unpack(tar, size, &root) == 0)
                check_pack(root);
        else
                remove_root(root);
        check_victim();
        free(tar);
        return 0;
}
