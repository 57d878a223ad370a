/* libsystemd's D-Bus client, loaded when it is asked for: no start of a container without systemd pays for it, and
 * the runtime runs where there is none. Declarations after sd-bus(3); the ABI of libsystemd.so.0 is stable. */
#ifndef PODLIKE_SDBUS_H
#define PODLIKE_SDBUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libspawn.h"

typedef struct sd_bus sd_bus;
typedef struct sd_bus_message sd_bus_message;
typedef struct sd_bus_slot sd_bus_slot;
typedef struct sd_bus_error {
        const char *name, *message;
        int need_free;
} sd_bus_error;
typedef int (*sd_bus_message_handler)(sd_bus_message *m, void *userdata, sd_bus_error *ret_error);

struct sdbus {
        void *handle;
        int (*open_user)(sd_bus **ret);
        int (*open_system)(sd_bus **ret);
        int (*new)(sd_bus **ret);
        int (*set_address)(sd_bus *bus, const char *address);
        int (*start)(sd_bus *bus);
        int (*get_fd)(sd_bus *bus);
        sd_bus *(*flush_close_unref)(sd_bus *bus);
        int (*match_signal)(sd_bus *bus, sd_bus_slot **ret, const char *sender, const char *path, const char *interface,
                            const char *member, sd_bus_message_handler callback, void *userdata);
        int (*process)(sd_bus *bus, sd_bus_message **ret);
        int (*wait)(sd_bus *bus, uint64_t timeout_usec);
        int (*call)(sd_bus *bus, sd_bus_message *m, uint64_t usec, sd_bus_error *ret_error, sd_bus_message **reply);
        int (*send)(sd_bus *bus, sd_bus_message *m, uint64_t *ret_cookie);
        int (*message_new_method_call)(sd_bus *bus, sd_bus_message **ret, const char *destination, const char *path,
                                       const char *interface, const char *member);
        int (*message_append)(sd_bus_message *m, const char *types, ...);
        int (*message_append_array)(sd_bus_message *m, char type, const void *ptr, size_t size);
        int (*message_append_strv)(sd_bus_message *m, char **l);
        int (*message_open_container)(sd_bus_message *m, char type, const char *contents);
        int (*message_close_container)(sd_bus_message *m);
        int (*message_read)(sd_bus_message *m, const char *types, ...);
        sd_bus_message *(*message_unref)(sd_bus_message *m);
        void (*error_free)(sd_bus_error *e);
};

/* The library; loaded once, stays. */
int sdbus_load(const struct sdbus **ret, spawn_error *e);
/* A connection to the user's or the system's systemd, by its bus, else by systemd's own socket. */
int sdbus_connect(const struct sdbus *lib, bool user, sd_bus **ret, spawn_error *e);

#endif
