/**
 * The words of a command line that another tool's file holds, quoted as for a shell. Nothing is
 * expanded and no shell runs, as in the AWS CLI. Pure.
 */
export type Quoted = {
  words: string[];
  /** What only a shell would understand; `null` = nothing. */
  shell: string | null;
};

/** `null`: a quote has no end, or nothing follows a backslash. */
export function quotedWords(line: string): Quoted | null {
  const words: string[] = [];
  let word: string | null = null;
  let quote = "";
  let shell: string | null = null;
  for (let at = 0; at < line.length; at++) {
    const char = line.charAt(at);
    const next = line.charAt(at + 1);
    if (char === "\\" && quote === "" && next === "") return null;
    if (quote === "" && /\s/.test(char)) {
      if (word !== null) words.push(word);
      word = null;
    } else if (char === quote) {
      quote = "";
    } else if (quote === "" && /["']/.test(char)) {
      quote = char;
      word ??= "";
    } else if (char === "\\" && quote !== "'" && (quote === "" || /["\\$`]/.test(next))) {
      word = (word ?? "") + next;
      at += 1;
    } else {
      const isHome = char === "~" && word === null && quote === "";
      const isShell = quote === "" ? /[|&;<>$`]/.test(char) : quote !== "'" && /[$`]/.test(char);
      if (isHome || isShell) shell ??= char;
      word = (word ?? "") + char;
    }
  }
  if (quote !== "") return null;
  if (word !== null) words.push(word);
  return { words, shell };
}
