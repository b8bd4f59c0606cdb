/** `an idle`, `a queue`: a word of ours with its indefinite article. Pure. */
export function withArticle(word: string): string {
  return /^[aeiou]/.test(word) ? `an ${word}` : `a ${word}`;
}
