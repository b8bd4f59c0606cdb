/**
 * The completion script for fish, 3.0 and later. Pure.
 */
import { formsOf, quote, type Source, type Table } from "./completion.ts";
import type { Flag } from "./flag.ts";

const HELPERS = `function __navarch_at
    set -l words (__navarch_said)
    test (count $words) -eq $argv[1]; and begin
        test $argv[1] -eq 0; or test "$words[1]" = "$argv[2]"
    end
end
function __navarch_is
    set -l words (__navarch_said)
    contains -- "$words[1] $words[2]" $argv; or contains -- "$words[1]" $argv
end
`;

export function formatFish(table: Table): string {
  const skips = table.valued.flatMap(({ flag }) => formsOf(flag)).join(" ");
  const sources = new Map(table.valued.map(({ flag, source }) => [flag.name, source]));
  const global = new Set(table.global);
  const lines: string[] = [];
  const add = (when: string, rest: string): void => {
    lines.push(`complete -c navarch${when === "" ? "" : ` -n ${quote(when)}`} ${rest}`);
  };
  for (const flag of table.global) add("", flagOf(flag, sources.get(flag.name)));
  for (const { word, summary, next } of table.heads) {
    add("__navarch_at 0", `-a ${word} -d ${quote(summary)}`);
    for (const place of next) {
      const second = place.path.split(" ")[1] ?? "";
      add(`__navarch_at 1 ${word}`, `-a ${second} -d ${quote(place.summary)}`);
    }
  }
  for (const { paths, flags, words } of table.places) {
    const is = `__navarch_is ${paths.map((path) => `"${path}"`).join(" ")}`;
    for (const flag of flags.filter((one) => !global.has(one) && !isGlobalName(table, one))) {
      add(is, flagOf(flag, sources.get(flag.name)));
    }
    if (words.kind !== "none") add(is, valueOf(words).replace("-x ", ""));
  }
  const aliases = table.aliases.map(([from, to]) => {
    return `    if test "$words[1]" = ${from}; set words[1] ${to}; end\n`;
  });
  return `# fish completion of navarch:  navarch completion fish | source
function __navarch_said
    set -l skip 0
    set -l words
    set -l all (commandline -opc)
    for word in $all[2..-1]
        if test $skip = 1
            set skip 0
            continue
        end
        switch $word
            case ${skips}
                set skip 1
            case '-*'
            case '*'
                set words $words $word
        end
    end
${aliases.join("")}    string join \\n -- $words
end
${HELPERS}complete -c navarch -f
${lines.join("\n")}
`;
}

function isGlobalName({ global }: Table, { name }: Flag): boolean {
  return global.some((flag) => flag.name === name);
}

function flagOf(flag: Flag, source: Source | undefined): string {
  const short = flag.short === undefined ? "" : ` -s ${flag.short}`;
  const value = flag.kind === "switch" ? "" : ` ${valueOf(source ?? { kind: "none" })}`;
  return `-l ${flag.name}${short}${value} -d ${quote(flag.help)}`;
}

function valueOf(source: Source): string {
  switch (source.kind) {
    case "words":
      return `-x -a ${quote(source.words.join(" "))}`;
    case "files":
      return "-r -F";
    case "names":
      return `-x -a ${quote(`(navarch ${source.command} -o name --timeout 2s 2>/dev/null)`)}`;
    case "none":
      return "-x";
  }
}
