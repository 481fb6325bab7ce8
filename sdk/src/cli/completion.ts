import type { Command } from 'commander';

/** What may follow each command, by its path: `kohort segments` → its commands and options. */
function wordsOf(command: Command, more: Words, path = command.name()): [path: string, words: readonly string[]][] {
  const options = command.options.flatMap(({ long }) => (long ? [long] : []));
  const words = [...command.commands.map((one) => one.name()), ...options, ...(more[path] ?? [])];
  return [[path, words], ...command.commands.flatMap((one) => wordsOf(one, more, `${path} ${one.name()}`))];
}

/** What commands take besides what commander knows, by the path of the command. */
export type Words = Readonly<Record<string, readonly string[]>>;

/** A script that completes commands and options, then file names; zsh reads that of bash. */
export function completionOf(program: Command, shell: 'bash' | 'zsh', more: Words): string {
  const cases = wordsOf(program, more).map(([path, words]) => `      '${path}') words='${words.join(' ')}'; break ;;`);
  const script = `_kohort() {
  local current="\${COMP_WORDS[COMP_CWORD]}" path=kohort words='' i
  for ((i = 1; i < COMP_CWORD; i++)); do
    case "\${COMP_WORDS[i]}" in -*) ;; *) path="$path \${COMP_WORDS[i]}" ;; esac
  done
  # What follows the command are its arguments.
  while :; do
    case "$path" in
${cases.join('\n')}
    esac
    path="\${path% *}"
  done
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o default -F _kohort kohort
`;
  return shell === 'bash' ? script : `autoload -Uz bashcompinit && bashcompinit\n${script}`;
}
