/**
 * The completion script for zsh, 5.0 and later. Pure.
 */
import { formsOf, quote, type Source, type Table } from "./completion.ts";
import type { Flag } from "./flag.ts";

const HELPERS = `_navarch_names() {
  local -a names
  names=("\${(@f)$("$program" \${=1} -o name --timeout 2s 2>/dev/null)}")
  compadd -- $names
}
`;

export function formatZsh(table: Table): string {
  const skips = table.valued.flatMap(({ flag }) => formsOf(flag)).join("|");
  const values = table.valued
    .filter(({ source }) => source.kind !== "none")
    .map(({ flag, source }) => `    ${formsOf(flag).join("|")}) ${actionOf(source)}; return ;;\n`);
  const aliases = table.aliases.map(([from, to]) => {
    return `  [[ \${said[1]} == ${from} ]] && said[1]=${to}\n`;
  });
  const flags = table.places.map(({ paths, flags: own }) => {
    return `    ${casesOf(paths)}) flags=(${describeFlags(own)}) ;;\n`;
  });
  const words = table.places
    .filter((place) => place.words.kind !== "none")
    .map(({ paths, words: source }) => `    ${casesOf(paths)}) ${actionOf(source)} ;;\n`);
  const seconds = table.heads
    .filter(({ next }) => next.length > 0)
    .map(({ word, next }) => {
      const list = next.map(({ path, summary }) => pair(path.split(" ")[1] ?? "", summary));
      return `    ${word}) options=(${list.join(" ")}); _describe command options ;;\n`;
    });
  const heads = table.heads.map(({ word, summary }) => pair(word, summary)).join(" ");
  const known = table.places.flatMap(({ paths }) => paths).filter((path) => path.includes(" "));
  return `#compdef navarch
# zsh completion of navarch:  source <(navarch completion zsh)
${HELPERS}_navarch() {
  local program=\${words[1]} prev=\${words[CURRENT-1]} cur=\${words[CURRENT]} word skip='' at=''
  local -a said flags options
  local i
  flags=(${describeFlags(table.global)})
  for ((i = 2; i < CURRENT; i++)); do
    word=\${words[i]}
    if [[ -n $skip ]]; then skip=''; continue; fi
    case $word in
    ${skips}) skip=1 ;;
    -*) ;;
    *) said+=("$word") ;;
    esac
  done
${aliases.join("")}  at="\${said[1]} \${said[2]}"
  case $at in
    ${casesOf(known)}) ;;
    *) at=\${said[1]} ;;
  esac
  case $prev in
${values.join("")}    ${skips}) return ;;
  esac
  case $at in
${flags.join("")}  esac
  if [[ $cur == -* ]]; then _describe -o flag flags; return; fi
  if (( \${#said} == 0 )); then options=(${heads}); _describe command options; return; fi
  (( \${#said} == 1 )) && case $at in
${seconds.join("")}  esac
  case $at in
${words.join("")}  esac
  return 0
}
if [[ \${funcstack[1]} == _navarch ]]; then _navarch "$@"; else compdef _navarch navarch; fi
`;
}

function describeFlags(flags: readonly Flag[]): string {
  return flags.flatMap((flag) => formsOf(flag).map((form) => pair(form, flag.help))).join(" ");
}

/** `'word:what it means'`. */
function pair(word: string, meaning: string): string {
  return quote(`${word}:${meaning.replaceAll(":", "\\:")}`);
}

function casesOf(paths: readonly string[]): string {
  return paths.map((path) => quote(path)).join("|");
}

function actionOf(source: Source): string {
  switch (source.kind) {
    case "words":
      return `compadd -- ${source.words.join(" ")}`;
    case "files":
      return "_files";
    case "names":
      return `_navarch_names ${quote(source.command)}`;
    case "none":
      return ":";
  }
}
