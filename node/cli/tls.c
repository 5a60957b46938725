/* SPDX-License-Identifier: Apache-2.0 */
#include "node/cli/tls.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char module_name[] = "mesh-tls.so";

static void *open_beside(char *self)
{
    static const char *const folders[] = { "", "/../lib/mesh" };
    char *slash = strrchr(self, '/');
    void *module = NULL;

    if (slash)
        *slash = '\0';
    for (size_t i = 0; i < ARRAY_SIZE(folders) && !module; i++) {
        CLEANUP(freep) char *path = NULL;

        if (asprintf(&path, "%s%s/%s", self, folders[i], module_name) < 0)
            path = NULL;
        if (path && access(path, R_OK) == 0)
            module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    }
    return module;
}

const struct tls_module *tls_load(struct error *ret_error)
{
    static const struct tls_module *loaded;
    char self[4096] = "";
    void *module;

    if (loaded)
        return loaded;
    if (readlink("/proc/self/exe", self, sizeof(self) - 1) < 0)
        self[0] = '\0';
    module = open_beside(self);
    loaded = module ? dlsym(module, "mesh_tls_module") : NULL;
    if (!loaded)
        fail(ret_error, -ENOENT, "%s does not lie beside the program", module_name);
    return loaded;
}
