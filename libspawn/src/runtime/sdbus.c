/* libsystemd's D-Bus client, loaded when it is asked for. */
#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "fail.h"
#include "sdbus.h"
#include "util.h"

int sdbus_load(const struct sdbus **ret, spawn_error *e)
{
        static struct sdbus lib;
        const struct {
                const char *name;
                void *to;
        } symbols[] = {
                {"sd_bus_open_user", &lib.open_user},
                {"sd_bus_open_system", &lib.open_system},
                {"sd_bus_new", &lib.new},
                {"sd_bus_set_address", &lib.set_address},
                {"sd_bus_start", &lib.start},
                {"sd_bus_get_fd", &lib.get_fd},
                {"sd_bus_flush_close_unref", &lib.flush_close_unref},
                {"sd_bus_match_signal", &lib.match_signal},
                {"sd_bus_process", &lib.process},
                {"sd_bus_wait", &lib.wait},
                {"sd_bus_call", &lib.call},
                {"sd_bus_send", &lib.send},
                {"sd_bus_message_new_method_call", &lib.message_new_method_call},
                {"sd_bus_message_append", &lib.message_append},
                {"sd_bus_message_append_array", &lib.message_append_array},
                {"sd_bus_message_append_strv", &lib.message_append_strv},
                {"sd_bus_message_open_container", &lib.message_open_container},
                {"sd_bus_message_close_container", &lib.message_close_container},
                {"sd_bus_message_read", &lib.message_read},
                {"sd_bus_message_unref", &lib.message_unref},
                {"sd_bus_error_free", &lib.error_free},
        };

        *ret = &lib;
        if (lib.handle != NULL)
                return 0;
        void *handle = dlopen("libsystemd.so.0", RTLD_NOW | RTLD_LOCAL);
        if (handle == NULL)
                return spawn_err(e, ENOENT, "systemd",
                                 "the systemd cgroup manager needs libsystemd, which cannot be loaded (%s): install it"
                                 " (libsystemd0), or use --cgroup-manager cgroupfs",
                                 dlerror());
        for (size_t i = 0; i < ELEMENTSOF(symbols); i++) {
                void *found = dlsym(handle, symbols[i].name);

                if (found == NULL) {
                        (void) dlclose(handle);
                        return spawn_err(e, ENOENT, "systemd",
                                         "libsystemd.so.0 has no %s: it is too old for the systemd cgroup manager, use"
                                         " --cgroup-manager cgroupfs",
                                         symbols[i].name);
                }
                memcpy(symbols[i].to, &found, sizeof(found));
        }
        lib.handle = handle;
        return 0;
}

/* Where there is systemd but no bus (a container's root, a distribution without dbus-user-session). */
static int connect_directly(const struct sdbus *lib, bool user, sd_bus **ret)
{
        const char *run = getenv("XDG_RUNTIME_DIR");
        char address[PATH_MAX];
        sd_bus *bus = NULL;
        int r;

        if (user && (run == NULL || run[0] != '/'))
                return -ENOENT;
        r = snprintf(address, sizeof(address), "unix:path=%s/systemd/private", user ? run : "/run");
        if (r < 0 || (size_t) r >= sizeof(address))
                return -ENAMETOOLONG;
        r = lib->new (&bus);
        if (r >= 0)
                r = lib->set_address(bus, address);
        if (r >= 0)
                r = lib->start(bus);
        if (r < 0 && bus != NULL)
                (void) lib->flush_close_unref(bus);
        else
                *ret = bus;
        return r < 0 ? r : 0;
}

int sdbus_connect(const struct sdbus *lib, bool user, sd_bus **ret, spawn_error *e)
{
        const char *run = getenv("XDG_RUNTIME_DIR"), *address = getenv("DBUS_SESSION_BUS_ADDRESS");
        bool pointed = (run != NULL && run[0] != '\0') || (address != NULL && address[0] != '\0');
        int r = user ? lib->open_user(ret) : lib->open_system(ret);

        if (r >= 0 || connect_directly(lib, user, ret) >= 0)
                return 0;
        if (!user)
                return fail_code(
                        e, r, "systemd",
                        "connect to the system bus for the systemd cgroup manager (is systemd running? else use"
                        " --cgroup-manager cgroupfs)");
        if (!pointed)
                return spawn_err(e, -r, "systemd",
                                 "connect to the user bus for the systemd cgroup manager: neither XDG_RUNTIME_DIR nor"
                                 " DBUS_SESSION_BUS_ADDRESS is set; log in through systemd (not su), or set"
                                 " XDG_RUNTIME_DIR=/run/user/UID, or use --cgroup-manager cgroupfs");
        return fail_code(
                e, r, "systemd",
                "connect to the user bus for the systemd cgroup manager (XDG_RUNTIME_DIR is `%.100s`): enable"
                " lingering (loginctl enable-linger) so that your systemd runs, or use --cgroup-manager cgroupfs",
                run != NULL ? run : "not set");
}
