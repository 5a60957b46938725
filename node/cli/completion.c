/* SPDX-License-Identifier: Apache-2.0 */
/* What makes a shell complete mesh's command lines: it asks `mesh complete`. */
#include <stdio.h>
#include <string.h>

#include "node/cli/cli.h"

static const char bash_script[] =
    "# bash completion of mesh\n"
    "_mesh()\n"
    "{\n"
    "    local line current=${COMP_WORDS[COMP_CWORD]} IFS=$'\\n'\n"
    "    COMPREPLY=()\n"
    "    [ \"$current\" != = ] || current=\n"
    "    while read -r line; do\n"
    "        case $line in\n"
    "        ':files mf')\n"
    "            compopt -o filenames\n"
    "            COMPREPLY+=($(compgen -f -X '!*.mf' -- \"$current\"\n"
    "                compgen -d -- \"$current\"))\n"
    "            ;;\n"
    "        :files)\n"
    "            compopt -o filenames\n"
    "            COMPREPLY+=($(compgen -f -- \"$current\"))\n"
    "            ;;\n"
    "        :dirs)\n"
    "            compopt -o filenames\n"
    "            COMPREPLY+=($(compgen -d -- \"$current\"))\n"
    "            ;;\n"
    "        *) COMPREPLY+=(\"${line%%$'\\t'*}\") ;;\n"
    "        esac\n"
    "    done < <(\"$1\" complete -- \"${COMP_WORDS[@]:1:COMP_CWORD}\" 2>/dev/null)\n"
    "}\n"
    "complete -F _mesh mesh\n";

static const char zsh_script[] =
    "#compdef mesh\n"
    "_mesh()\n"
    "{\n"
    "    local line\n"
    "    local -a found\n"
    "    for line in \"${(@f)$(\"$words[1]\" complete -- \"${(@)words[2,CURRENT]}\" "
    "2>/dev/null)}\"; do\n"
    "        case $line in\n"
    "        ':files mf') _files -g '*.mf' ;;\n"
    "        :files) _files ;;\n"
    "        :dirs) _files -/ ;;\n"
    "        ?*) found+=(\"${${line%%$'\\t'*}//:/\\\\:}:${line#*$'\\t'}\") ;;\n"
    "        esac\n"
    "    done\n"
    "    (( $#found )) && _describe -V 'mesh' found\n"
    "}\n"
    "if [ \"$funcstack[1]\" = _mesh ]; then\n"
    "    _mesh \"$@\"\n"
    "else\n"
    "    compdef _mesh mesh\n"
    "fi\n";

static const char fish_script[] =
    "# fish completion of mesh\n"
    "function __mesh_complete\n"
    "    set -l words (commandline -opc) (commandline -ct)\n"
    "    for line in ($words[1] complete -- $words[2..-1] 2>/dev/null)\n"
    "        switch $line\n"
    "            case ':files mf'\n"
    "                __fish_complete_suffix .mf\n"
    "            case ':files'\n"
    "                __fish_complete_path (commandline -ct)\n"
    "            case ':dirs'\n"
    "                __fish_complete_directories (commandline -ct)\n"
    "            case '*'\n"
    "                echo $line\n"
    "        end\n"
    "    end\n"
    "end\n"
    "complete -c mesh -f -k -a '(__mesh_complete)'\n";

static int completion(const struct options *o)
{
    static const struct {
        const char *shell, *script;
    } scripts[] = { { "bash", bash_script },
                    { "zsh", zsh_script },
                    { "fish", fish_script } };

    for (size_t i = 0; i < ARRAY_SIZE(scripts); i++)
        if (strcmp(o->operands[0], scripts[i].shell) == 0)
            return fputs(scripts[i].script, stdout) < 0 ? CLI_FAILED : CLI_OK;
    return cli_usage("there is completion for bash, zsh and fish, not for '%.80s'",
                     o->operands[0]);
}

static const struct option_spec completion_options[] = { OPTION_HELP, OPTION_END };

const struct command command_completion = {
    .name = "completion",
    .synopsis = "SHELL",
    .summary = "print what makes a shell complete mesh's words",
    .about =
        "Prints a script for SHELL: bash, zsh or fish. With it the tab key completes\n"
        "verbs, options, the flow's parameters and files, and what the node knows:\n"
        "runs, steps, tasks, tags and artifacts.",
    .options = completion_options,
    .examples =
        "source <(mesh completion bash)            # in ~/.bashrc\n"
        "source <(mesh completion zsh)             # in ~/.zshrc, behind compinit\n"
        "mesh completion fish | source             # in ~/.config/fish/config.fish",
    .operands_min = 1,
    .operands_max = 1,
    .run = completion,
};
