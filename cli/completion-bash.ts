/**
 * The completion script for bash, 3.2 and later, without the bash-completion package. Pure.
 */
import { formsOf, type Source, type Table } from "./completion.ts";

const HELPERS = `__navarch_words() { COMPREPLY+=($(compgen -W "$1" -- "$cur")); }
__navarch_files() {
  local IFS=$'\\n'
  COMPREPLY+=($(compgen -f -- "$cur"))
  compopt -o filenames 2>/dev/null
}
# Names come from the fleet: they are compared and quoted, and never expanded.
__navarch_names() {
  local name
  while IFS= read -r name; do
    [[ $name == "$cur"* ]] && COMPREPLY+=("$(printf %q "$name")")
  done < <("$program" $1 -o name --timeout 2s 2>/dev/null)
}
`;

export function formatBash(table: Table): string {
  const skips = table.valued.flatMap(({ flag }) => formsOf(flag)).join("|");
  const values = table.valued
    .filter(({ source }) => source.kind !== "none")
    .map(({ flag, source }) => `    ${formsOf(flag).join("|")}) ${actionOf(source)}; return ;;\n`);
  const aliases = table.aliases.map(([from, to]) => {
    return `  [[ \${words[0]-} == ${from} ]] && words[0]=${to}\n`;
  });
  const flags = table.places.map(({ paths, flags: own }) => {
    return `    ${casesOf(paths)}) flags='${own.flatMap(formsOf).join(" ")}' ;;\n`;
  });
  const words = table.places
    .filter((place) => place.words.kind !== "none")
    .map(({ paths, words: source }) => `    ${casesOf(paths)}) ${actionOf(source)} ;;\n`);
  const groups = table.heads.filter(({ next }) => next.length > 0);
  const seconds = groups.map(({ word, next }) => {
    const words = next.map(({ path }) => path.split(" ")[1]).join(" ");
    return `    ${word}) __navarch_words '${words}' ;;\n`;
  });
  const heads = table.heads.map(({ word }) => word).join(" ");
  const known = table.places.flatMap(({ paths }) => paths);
  const two = casesOf(known.filter((path) => path.includes(" ")));
  const globals = table.global.flatMap(formsOf).join(" ");
  return `# bash completion of navarch:  source <(navarch completion bash)
${HELPERS}_navarch() {
  local program=$1 cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD-1]}
  local word skip='' path='' flags='${globals}' words=() i
  COMPREPLY=()
  if [[ $cur == = ]]; then cur=''
  elif [[ $prev == = ]]; then prev=\${COMP_WORDS[COMP_CWORD-2]}
  fi
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=\${COMP_WORDS[i]}
    if [[ $word == = ]]; then skip=1; continue; fi
    if [[ -n $skip ]]; then skip=''; continue; fi
    case $word in
    ${skips}) skip=1 ;;
    -*) ;;
    *) words+=("$word") ;;
    esac
  done
${aliases.join("")}  path="\${words[0]-} \${words[1]-}"
  case $path in
    ${two}) ;;
    *) path=\${words[0]-} ;;
  esac
  case $prev in
${values.join("")}    ${skips}) return ;;
  esac
  case $path in
${flags.join("")}  esac
  if [[ $cur == -* ]]; then __navarch_words "$flags"; return; fi
  if [[ \${#words[@]} -eq 0 ]]; then __navarch_words '${heads}'; return; fi
  [[ \${#words[@]} -eq 1 ]] && case $path in
${seconds.join("")}  esac
  case $path in
${words.join("")}  esac
  return 0
}
complete -F _navarch navarch
`;
}

function casesOf(paths: readonly string[]): string {
  return paths.map((path) => `'${path}'`).join("|");
}

function actionOf(source: Source): string {
  switch (source.kind) {
    case "words":
      return `__navarch_words '${source.words.join(" ")}'`;
    case "files":
      return "__navarch_files";
    case "names":
      return `__navarch_names '${source.command}'`;
    case "none":
      return ":";
  }
}
