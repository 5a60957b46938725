/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "node/cli/cli.h"
#include "node/guard.h"

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], GUARD_VERB) == 0)
        return guard_main(argv + 2);
    return cli_main(argc, argv);
}
